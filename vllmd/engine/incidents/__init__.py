"""The flight recorder: what can be seen of an engine that fails, kept before it is gone."""
