"""Several hosts that serve the same models: who they are, and what they say of themselves.

`hosts.py` has the hosts of `[fleet]`, from the list or the file. `pages.py` asks them: any path of
the pages that their daemons have, many at a time, each within its time. Nothing here asks a host to
do anything; what is done there is done by its own `vllmd`, through `fleet.command`.
User documentation: `docs/several-hosts.md`.
"""
