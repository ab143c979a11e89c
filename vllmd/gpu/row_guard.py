"""Which rows of NVML are left out, because asking for them ends or hangs the reader. Pure.

A call that hangs is the one under way, and so is most often one that crashes: a row during which
the reader ended twice is left out. One that hung is read once more an hour later. But a call that
writes beyond its memory may be survived, and a later one ends the process. Then leaving out
the row that was under way helps nothing: another is next. Two signs say so: a row is left out, and
soon another row crashes; or several runs end soon, each in another place. Then the rows are halved:
one half is read, and what happens says in which half the culprit is. Only what is proven so stays
left out: the last suspect is read once more, and if it does not crash then, nothing is left out.

While it is not known why a run ended, rows are read more often (`careful`): then it is known soon.
"""

from collections.abc import Callable, Sequence

import attrs

from vllmd.gpu.calls import RowKey
from vllmd.util.units import HOUR_S

TOLERATED = 1
"""Ends during one row that may be chance."""
UNCLEAR = 3
"""Short runs without a row to blame after which a search begins."""
TRIAL_ROUNDS = 20
TRIAL_LIVES = 3.0
"""A trial is passed after so many readings, and so many times the longest run that ended badly."""
LONGEST_TRIAL_S = 3600.0
SHORT_S = 600.0
"""A run that lasted so long has nothing to do with the one before it."""
AGAIN_S = HOUR_S
"""After a run of so long without it, a row that hung is read again: what hung may have passed."""

CRASHED, HUNG, FOUND = "crashed", "hung", "found"
"""Why a row is left out: it was under way at two crashes, or hangs; or a search found it."""

Report = Callable[[RowKey, str | None], None]
"""Is told of a row that is left out, and why; None says that it is read again."""


@attrs.frozen
class _Search:
    """What is known of who did it. Of the suspects, those that are not left out are read."""

    out: tuple[RowKey, ...]
    """Suspects that are left out now."""
    aside: tuple[RowKey, ...] = ()
    """Left out as well, and not looked at: what is read suffices for a crash."""
    cleared: frozenset[RowKey] = frozenset()
    """With these it lived."""


class RowGuard:
    """The rows of one reader."""

    def __init__(self, report: Report) -> None:
        self._report = report
        self._ends: dict[RowKey, int] = {}
        """How often a run ended during a row; runs that lasted long are not counted together."""
        self._tried_again: set[RowKey] = set()
        self._search: _Search | None = None
        self._doubtful: list[RowKey] = []
        """Left out since the last trial, because of where the run ended."""
        self._unclear = 0
        self._longest_s = 0.0
        self.left_out: dict[RowKey, str] = {}
        self.careful = False
        """Whether rows are to be read often, until a trial is passed."""

    def leave_out(self) -> frozenset[RowKey]:
        """Return what the next run is not to ask for."""
        search = self._search
        return frozenset([*self.left_out, *(search.out + search.aside if search else ())])

    def hung(self, under_way: RowKey | None, lived_s: float) -> None:
        """Take note of a run that was killed as it said nothing more."""
        self._forget_old(lived_s)
        if under_way is not None and self._count(under_way) > TOLERATED:
            self._leave(under_way, HUNG)

    def crashed(self, called: Sequence[RowKey], under_way: RowKey | None, lived_s: float) -> None:
        """Take note of a run that ended by itself; `called` is all that it had asked for."""
        if self._forget_old(lived_s):
            self._calm()
        else:
            self._longest_s = max(self._longest_s, lived_s)
        self.careful = True
        if self._search is not None:
            self._narrow(called, self._search)
        elif self._doubtful and (under_way is None or under_way.row != self._doubtful[0].row):
            suspects = [*self._doubtful, *called]
            for key in self._doubtful:
                del self.left_out[key]
                self._ends.pop(key, None)
                self._report(key, None)
            self._doubtful.clear()
            self._divide(suspects, _Search(()))
        elif under_way is not None and self._count(under_way) > TOLERATED:
            self._leave(under_way, CRASHED)
            self._doubtful.append(under_way)
        else:
            self._unclear += 1
            if self._unclear >= UNCLEAR:
                self._unclear = 0
                self._divide(called, _Search(()))

    def has_passed(self, rounds: int, lived_s: float) -> bool:
        """Tell whether a run that goes on, with so many readings, has passed a trial."""
        enough_s = min(LONGEST_TRIAL_S, TRIAL_LIVES * self._longest_s)
        return self.careful and rounds >= TRIAL_ROUNDS and lived_s >= enough_s

    def passed(self, called: Sequence[RowKey]) -> None:
        """Take note that it has; in a search the next trial is due, and `leave_out` another."""
        search = self._search
        if search is None or not search.out:
            self._search = None
            self._calm()
            return
        lived = attrs.evolve(search, out=(), cleared=search.cleared.union(called))
        if len(search.out) == 1:  # it was not seen to do it
            self._search = lived
        else:
            self._divide(search.out, lived)

    def tries_again(self, lived_s: float) -> bool:
        """Take rows that hung back in, each once; tell whether there are any.

        `lived_s` is how long the run has lasted without them.
        """
        if self.careful or lived_s < AGAIN_S:
            return False
        hung = {key for key, why in self.left_out.items() if why == HUNG} - self._tried_again
        self._tried_again |= hung
        for key in sorted(hung):
            del self.left_out[key]
            self._report(key, None)
        return bool(hung)

    def _forget_old(self, lived_s: float) -> bool:
        """Forget earlier ends after a run that lasted long; tell whether this one did."""
        if long := lived_s >= SHORT_S:
            self._ends.clear()
        return long

    def _calm(self) -> None:
        self.careful = False
        self._doubtful.clear()
        self._unclear = 0
        self._longest_s = 0.0

    def _count(self, key: RowKey) -> int:
        self._ends[key] = self._ends.get(key, 0) + 1
        return self._ends[key]

    def _leave(self, key: RowKey, why: str) -> None:
        self.left_out[key] = why
        self._unclear = 0
        self._report(key, why)

    # --- the search --------------------------------------------------------------------------

    def _narrow(self, called: Sequence[RowKey], search: _Search) -> None:
        """The culprit is among what was read."""
        left_out = search.out + search.aside
        if suspects := [key for key in called if key not in search.cleared]:
            self._divide(suspects, attrs.evolve(search, out=(), aside=left_out))
        else:
            self._divide([*called, *left_out], _Search(()))  # what lived once does not always

    def _divide(self, suspects: Sequence[RowKey], search: _Search) -> None:
        """Leave out half of them; a single one is found."""
        self._search = None
        if len(suspects) == 1:
            self._leave(suspects[0], FOUND)
        elif suspects:
            half = (len(suspects) + 1) // 2
            self._search = attrs.evolve(search, out=tuple(suspects[half:]))
