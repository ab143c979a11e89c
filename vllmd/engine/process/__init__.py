"""The process of an engine: the shim beside it, spawned, asked or lost; what is kept of a run."""
