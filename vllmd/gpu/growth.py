"""What an engine holds more than it should: growth beyond its largest batch so far. Pure.

vLLM takes its share of a GPU at its start, but PyTorch takes what batches need only when the first
of that size is computed: some hundred MiB up to some GiB that stay. So until an engine has computed
for a while with as many requests as it ever had, what it takes is no growth; after that it is.
"""

import attrs

SETTLE_S = 600.0
"""So long it computes, since it had more requests at once than ever, before what it takes is
growth."""
LONGEST_STEP_S = 30.0
"""A longer time between two listings counts for no more: nobody knows what it did."""


@attrs.frozen
class Baseline:
    """From where growth of one run counts."""

    run_id: str
    bytes: int
    most_running: int = 0
    """The most requests that it computed at once, as its page showed them."""
    worked_s: float = 0.0
    """How long it has computed since."""

    def after(self, size: int, running: int, passed_s: float) -> "Baseline":
        """Return it after one more listing, `passed_s` after the one before."""
        if not running:
            return self
        worked_s = self.worked_s + min(passed_s, LONGEST_STEP_S)
        if running > self.most_running:
            worked_s = 0.0
        settled = worked_s >= SETTLE_S
        return attrs.evolve(
            self,
            bytes=self.bytes if settled else max(self.bytes, size),
            most_running=max(running, self.most_running),
            worked_s=min(worked_s, SETTLE_S),
        )
