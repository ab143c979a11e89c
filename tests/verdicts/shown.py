"""Logs as people show them, whole: parts of logs, in notes, tables and chats, in words of our own.

Each batch was judged once before anything was mended for it: its answers and what was said then
are beside it in `unseen/`. From then on its logs are part of the corpus.
"""

from collections.abc import Iterator
from pathlib import Path

from tests.verdicts.failures.rows import HOLD
from tests.verdicts.model import VERSIONS, Case, Failure, Phase, Said, Who

FOLDER = Path(__file__).parent / "unseen"
BATCHES = ("j", "k", "l")
MARK = "=== "


def _logs(batch: str) -> dict[str, tuple[str, ...]]:
    """Return the lines of each log of a batch, by its name."""
    logs: dict[str, list[str]] = {}
    name = ""
    for line in (FOLDER / f"batch_{batch}_logs.txt").read_text().splitlines():
        if line.startswith(MARK):
            name = line.removeprefix(MARK)
            logs[name] = []
        else:
            logs[name].append(line)
    return {name: tuple(lines) for name, lines in logs.items()}


def _failures(batch: str) -> Iterator[Failure]:
    logs = _logs(batch)
    for row in (FOLDER / f"batch_{batch}_answers.txt").read_text().splitlines()[1:]:
        name, causes, hold, words, code, source = (part.strip() for part in row.split(" | ", 5))
        yield Failure(
            f"shown-{batch}-{name}",
            Phase.ARGUMENTS if int(code) else Phase.SERVING,
            Who.API,
            tuple(causes.split()),
            HOLD[hold],
            "" if words == "-" else words,
            source,
            said=tuple(map(Said, logs[name])),
            exit_code=int(code),
            echoes=False,
            seen=True,
        )


FAILURES: tuple[Failure, ...] = tuple(each for batch in BATCHES for each in _failures(batch))


def cases() -> Iterator[Case]:
    """Yield each log as it was shown: no version prints it so, and nothing is put around it."""
    for each in FAILURES:
        lines = tuple(said.text for said in each.said)
        yield Case(f"{each.name}-as-shown", "shown", each, VERSIONS[-1], "plain", lines)
