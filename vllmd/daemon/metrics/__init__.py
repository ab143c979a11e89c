"""The metrics of the daemon itself, one file each."""
