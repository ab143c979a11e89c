"""Code that waits, stopped at each place where it does: for tests of what may happen just there."""

import types
from collections.abc import Callable, Coroutine, Generator
from typing import Any

Look = Callable[[str], None]


async def stepped(coroutine: Coroutine[Any, Any, Any], look: Look) -> Any:
    """Run a coroutine; `look` is called whenever it begins to wait, and before it goes on.

    It is told the place: each `await` on the way down, as `function:line`, and `>` or `<`.
    """
    return await _steps(coroutine, look)


@types.coroutine
def _steps(coroutine: Coroutine[Any, Any, Any], look: Look) -> Generator[Any, Any, Any]:
    thrown: BaseException | None = None
    while True:
        try:
            waited_for = coroutine.throw(thrown) if thrown else coroutine.send(None)
        except StopIteration as end:
            return end.value
        place = where(coroutine)
        look(f"> {place}")
        thrown = None
        try:
            yield waited_for
        except BaseException as error:  # noqa: BLE001 - handed on to it
            thrown = error
        else:
            look(f"< {place}")


def where(coroutine: Any) -> str:
    """Return where a coroutine waits."""
    places = []
    inner: Any = coroutine
    while (frame := getattr(inner, "cr_frame", None)) is not None:
        places.append(f"{frame.f_code.co_name}:{frame.f_lineno}")
        inner = inner.cr_await
    return " ".join(places)
