"""Failures as rows of a text: each is an exception that ends a start or an engine that serves."""

from collections.abc import Iterator

from tests.verdicts.model import V1, Failure, Phase, Raised, Who, failure

HOLD = {"wall": True, "passes": False, "either": None}
WORDS = 60


def rows(
    phase: Phase,
    who: Who,
    text: str,
    *,
    config: str = "",
    after: str = "",
    versions: tuple[str, ...] = V1,
) -> Iterator[Failure]:
    """Yield a failure for each line: ``name | causes | hold | file:function | Error: message``.

    A ``\\n`` in a message is a new line; `after` is put behind each message, with the last word of
    the place in it. What shows the cause is the first line of its message.
    """
    for line in text.strip().splitlines():
        name, causes, hold, place, said = (part.strip() for part in line.split(" | ", 4))
        where, _, symbol = place.partition(" ")
        file, _, function = where.partition(":")
        error, _, message = said.partition(": ")
        message = message.replace("\\n", "\n")
        root = Raised(error, message + after.replace("SYMBOL", symbol), file, function)
        words = message.split("\n")[0][:WORDS].strip()
        yield failure(
            name,
            phase,
            who,
            causes,
            HOLD[hold],
            words,
            f"{file}, {function}",
            root,
            config=config,
            versions=versions,
        )
