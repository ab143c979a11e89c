"""What was said of one engine's sleep: the last of it, and what it took the place of."""

from vllmd.engine.sleeping.rules import Wish
from vllmd.engine.sleeping.wish_file import WishFile


class Wishes:
    """`said` counts, and is written down."""

    def __init__(self, file: WishFile) -> None:
        """Take up what an earlier daemon was told."""
        self._file = file
        self.said: Wish | None = file.load()
        self._before: Wish | None = None
        self._changed = False

    async def read_again(self) -> None:
        """Take up what an earlier daemon was told, if the disk was late and nobody said more."""
        if self._file.late and not self._changed:
            found = await self._file.load_late()
            if not self._changed:
                self.said = found

    def say(self, wish: Wish) -> None:
        """Let it count; what wanted the contrary counts again if this cannot be."""
        if self.said is None or self.said.asleep is not wish.asleep:
            self._before = self.said
        self._keep(wish)

    def take_back(self, wish: Wish) -> None:
        """Let count what did before it, unless somebody has wanted the contrary meanwhile."""
        if self.said is not None and self.said.asleep is wish.asleep:
            before, self._before = self._before, None
            self._keep(before)

    def forget(self) -> None:
        """Let nothing count that was said."""
        self._before = None
        if self.said is not None:
            self._keep(None)

    def _keep(self, wish: Wish | None) -> None:
        self.said, self._changed = wish, True
        self._file.save(wish)

    async def saved(self, seconds: float) -> None:
        """Wait until it is written down, but not for longer."""
        await self._file.saved(seconds)
