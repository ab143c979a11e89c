"""For how long an engine had no request, by its page. Pure; times are watched seconds."""

from vllmd.engine.liveness.reading import PageAnswer, Reading


class IdleTime:
    """One engine's. Steps of a canary are no request."""

    def __init__(self) -> None:
        self._since: float | None = None
        self._steps = -1.0
        self._at = 0.0
        self._probed = False

    @property
    def seconds(self) -> float | None:
        """For how long there was none, up to the last look; None if that is not known."""
        return None if self._since is None else max(0.0, self._at - self._since)

    def begin(self) -> None:
        """Count from the next look on: it has just become ready, or was woken."""
        self._since, self._steps = None, -1.0

    def saw(self, reading: Reading, *, probed: bool) -> None:
        """Take one look; `probed` if a canary is in flight. Without counts nothing is known."""
        if reading.answer is not PageAnswer.PAGE or not reading.ranks:
            if reading.answer is PageAnswer.PAGE:
                self.begin()
            return
        steps = sum(rank.steps for rank in reading.ranks.values())
        moved = steps != self._steps and not (probed or self._probed)
        busy = reading.running + reading.waiting > 0 and not probed
        if self._since is None or moved or busy:
            self._since = reading.at
        self._steps, self._at, self._probed = steps, reading.at, probed
