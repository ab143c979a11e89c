"""Configuration: typed and frozen, read from TOML, with every mistake reported at once."""

from pathlib import Path

CONFIG_PATH = Path("/etc/vllmd/vllmd.toml")
