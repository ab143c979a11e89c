"""An engine's life: its state, its supervisor, the shim beside it."""
