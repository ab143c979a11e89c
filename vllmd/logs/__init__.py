"""What an engine printed, read again: over rotations, by time, process and level."""
