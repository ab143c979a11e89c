"""Everything that the daemon's log tells, one class an event; a file for each subject."""
