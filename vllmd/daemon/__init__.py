"""The daemon's process: its start, its end, and where the parts are wired together."""

from vllmd.util.libraries import import_without_rich

import_without_rich()  # before a module of the daemon imports them
