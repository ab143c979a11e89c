"""How long to wait before an engine that ended unasked is started again."""

from vllmd.config.model import Restart


class Backoff:
    """A pause that doubles with every failure, and begins anew after sustained readiness."""

    def __init__(self, settings: Restart) -> None:
        self._settings = settings
        self.failures = 0

    def after_exit(self, ready_s: float) -> float:
        """Count a failure of an engine that had been ready for `ready_s` seconds.

        Returns: the pause, in seconds.
        """
        if ready_s >= self._settings.reset_after_s > 0:
            self.failures = 0
        exponent = min(self.failures, 32)
        self.failures += 1
        pause_s: float = self._settings.initial_s * 2**exponent
        return min(pause_s, self._settings.max_s)

    def reset(self) -> None:
        """Forget the failures: a person took a hand."""
        self.failures = 0
