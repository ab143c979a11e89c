"""A point in time on the command line."""

from datetime import datetime

import click

from vllmd.util.date_parsing import parse_moment


class MomentType(click.ParamType):  # type: ignore[type-arg]
    """How long ago (``24h``), a day, or a date; becomes seconds since the epoch."""

    name = "when"

    def convert(
        self, value: object, param: click.Parameter | None, ctx: click.Context | None
    ) -> float:
        """Read it."""
        if isinstance(value, float):
            return value
        text = str(value)
        try:
            return parse_moment(text, datetime.now().astimezone())
        except (ValueError, OverflowError):
            self.fail(
                f"{text!r} is neither a time that has passed, such as 90s, 5min, 24h, yesterday or "
                "'2 days ago', nor a date, such as 2026-01-31 or 2026-01-31T03:15",
                param,
                ctx,
            )
