"""The history: events in a queue, a thread and one SQLite file.

Events that come within half a second are one commit, with an fsync (`synchronous = FULL`); a
mark beside the file names the last commit, so that a log that lost its end is noticed and
counted. A file that is broken is set aside; one that was deleted or replaced underneath is begun
anew, and that is logged. Events expire by the time that vllmd ran since (`age.py`), not by the
wall clock. A newer schema leaves its own way back in the file, for an older program to undo.
Room is made by removing routine first, failures last. What decides over restarts is not read
from here but from a small file for each engine (`engine/restart/state_file.py`): the history may
lose its end.
"""
