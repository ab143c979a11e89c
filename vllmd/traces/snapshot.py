"""All numbers about traces, as the page shows them."""

from collections.abc import Mapping

import attrs

from vllmd.traces.intake import IntakeState


@attrs.frozen
class TraceFigures:
    """What was received, and how it goes."""

    state: IntakeState
    ports: Mapping[str, bool]
    """Whether each receiver is open, by protocol; one that is not wanted is absent."""
    coverage: Mapping[str, float]
    """The share of finished sequences whose span came, by engine, where one can be told."""
    forward_up: bool | None
    """Whether the last attempt to pass spans on worked; None if they are not passed on."""
