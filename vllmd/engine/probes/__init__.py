"""Questions to a running engine, one file each."""
