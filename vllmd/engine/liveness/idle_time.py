"""For how long an engine had no request, by its page. Pure; times are watched seconds."""

import math

import attrs

from vllmd.engine.liveness.reading import PageAnswer, Reading


@attrs.frozen
class OwnRequests:
    """What vllmd itself asks ranks for, beside probes and canaries.

    `steps` are those that the engine made for it in all, at most; `most` are the requests that a
    page may show.
    """

    steps: int = 0
    most: int = 0


NO_REQUESTS = OwnRequests()


class IdleTime:
    """One engine's. Steps of a canary are no request."""

    def __init__(self) -> None:
        self._since: float | None = None
        self._steps = -math.inf
        self._at = 0.0
        self._probed = False

    @property
    def seconds(self) -> float | None:
        """For how long there was none, up to the last look; None if that is not known."""
        return None if self._since is None else max(0.0, self._at - self._since)

    def begin(self) -> None:
        """Count from the next look on: it has just become ready, or was woken."""
        self._since, self._steps = None, -math.inf

    def saw(self, reading: Reading, *, probed: bool, own: OwnRequests = NO_REQUESTS) -> None:
        """Take one look; `probed` if a canary is in flight. Without counts nothing is known."""
        if reading.answer is not PageAnswer.PAGE or not reading.ranks:
            if reading.answer is PageAnswer.PAGE:
                self.begin()
            return
        steps = sum(rank.steps for rank in reading.ranks.values()) - own.steps
        moved = steps > self._steps and not (probed or self._probed)
        busy = reading.running + reading.waiting > own.most and not probed
        if self._since is None or moved or busy:
            self._since = reading.at
        self._steps, self._at, self._probed = max(steps, self._steps), reading.at, probed
