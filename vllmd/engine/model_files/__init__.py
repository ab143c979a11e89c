"""A model's files on the disk, of which only the heads are read."""
