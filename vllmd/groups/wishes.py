"""What somebody wants of a group on a member, on its way to the head, and what the head says to it.

A head that refuses says so on its page; the member takes its wish back then, and goes on.
"""

import math

import structlog

from vllmd.errors import VllmdError
from vllmd.events.base import emit
from vllmd.events.groups import GroupWishHeard
from vllmd.groups.own import OwnEngine
from vllmd.groups.page import RESTART, START, GroupPage, GroupWish, RefusedWish

FORGOTTEN_S = 15.0
"""By then a head has seen that a member took its wish back: it asks each five seconds."""


class GroupWishes:
    """Of one part of a group."""

    def __init__(self, log: structlog.stdlib.BoundLogger) -> None:
        self._log = log
        self.wish: GroupWish | None = None
        """Of a member: what the head is to do."""
        self._coming: GroupWish | None = None
        """Of a member: what the head is to do once it has forgotten that it refused the same."""
        self._wished_at = -math.inf
        self.last_refused: RefusedWish | None = None
        """Of a member: what the head did not do, when somebody wanted something here last."""
        self._refusal: str | None = None
        """Of a member: why the head does not restart, until somebody has taken it."""
        self.acted: GroupWish | None = None
        """Of a head: what it acted on last."""
        self.refused: RefusedWish | None = None
        """Of a head: what it does not do, while a member wants it."""

    # --- of a member ---------------------------------------------------------------------------

    def want(self, what: str, head: GroupPage | None, at: float) -> None:
        """Want something of the head, as its page is known; of one that runs alone nothing."""
        self._wished_at = at
        self._refusal = self.last_refused = None
        if head is None or head.generation is None or head.older:
            return
        if head.runs and what != RESTART:
            return
        wish = GroupWish(RESTART if head.runs else START, head.generation)
        again = head.refused is not None and head.refused.wish == wish
        self.wish, self._coming = (None, wish) if again else (wish, None)

    def hear(self, head: GroupPage | None, asked_at: float | None) -> None:
        """Give up a wish that the head refuses, or that is about another generation than it has.

        A page that was asked for before the wish may refuse the one before.
        """
        after_s = -math.inf if asked_at is None else asked_at - self._wished_at
        refused = head.refused if head is not None and after_s >= 0 else None
        if (coming := self._coming) is not None and after_s >= 0:
            still = refused is not None and refused.wish == coming
            if not still or after_s >= FORGOTTEN_S:  # another member may not have read it for long
                self.wish, self._coming = coming, None
        if self.wish is None:
            return
        if (no := refused) is not None and no.wish == self.wish:
            emit(self._log, GroupWishHeard(wish=no.wish.what, refused=no.why))
            self.last_refused = no
            if no.wish.what == RESTART:
                self._refusal = no.why
            self.wish = None
        elif head is None or head.generation != self.wish.generation:
            self.wish = None

    @property
    def is_wanting(self) -> bool:
        """Whether the head is to do something, and has not said what becomes of it."""
        return self.wish is not None or self._coming is not None

    def take_refusal(self) -> str | None:
        """Return why the head does not restart, once; None if it does not say so."""
        why, self._refusal = self._refusal, None
        return why

    # --- of a head -----------------------------------------------------------------------------

    def look(self, members: list[GroupPage]) -> None:
        """Forget a wish that was refused when nobody has it any more: the next one is another."""
        if self.refused is not None and all(p.wish != self.refused.wish for p in members):
            self.refused = self.acted = None

    def act(self, own: OwnEngine, wish: GroupWish) -> None:
        """Do what somebody wants on a member, or note why not."""
        self.acted, self.refused = wish, None
        emit(self._log, GroupWishHeard(wish=wish.what))
        try:
            if wish.what == RESTART:
                own.restart()
            else:
                own.start()
        except VllmdError as error:
            self.refused = RefusedWish(wish, str(error))
            emit(self._log, GroupWishHeard(wish=wish.what, refused=str(error)))
