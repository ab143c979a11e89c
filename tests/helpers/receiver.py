"""The other end of a webhook."""

from collections.abc import Iterator
from contextlib import contextmanager

from tests.helpers.listening import Handler, listening


@contextmanager
def receiver(path: str = "hook") -> Iterator[tuple[str, list[bytes]]]:
    """Serve a webhook at `path`; yield its URL, and the bodies that came."""
    bodies: list[bytes] = []

    class Webhook(Handler):
        def reply(self) -> None:
            bodies.append(self.body())
            self.answer(204)

    with listening(Webhook) as url:
        yield f"{url}/{path}", bodies
