"""Options of `vllmd run` that stand above keys of the configuration, also when it is read again."""

import attrs

from vllmd.config.model import Config


@attrs.frozen
class Overrides:
    """What was given on the command line; None where nothing was."""

    listen: tuple[str, int] | None = None
    web_config_file: str | None = None
    """Empty for none, whatever the file says."""

    def apply(self, config: Config) -> Config:
        """Return the configuration with what was given."""
        given = {k: v for k, v in attrs.asdict(self).items() if v is not None}
        if "web_config_file" in given:
            given["web_config_file"] = given["web_config_file"] or None
        return attrs.evolve(config, daemon=attrs.evolve(config.daemon, **given))
