"""Configuration: typed and frozen, read from TOML, with every mistake reported at once."""
