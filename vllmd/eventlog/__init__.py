"""Every event: its line in the log, who else gets it, and what happened in words."""
