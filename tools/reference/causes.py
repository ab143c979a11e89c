"""Every cause that `vllmd why` can name, from the tables that it is chosen from."""

from collections.abc import Iterator

from tools.reference.markdown import block, page, plain
from vllmd.engine.causes import CAUSES, SUBJECTS
from vllmd.engine.causes.base import Cause, Rank

ABOUT = """\
Why an engine ended, as `vllmd why`, `vllmd_engine_failures_total{cause}` and notices name it. The
list is closed; what fits none is `unknown`, with the first error, its process, and the cause that
it may be. The [kind](states.md#kinds-of-causes) says what follows: another start, or a hold until
something is fixed. In the place of these words `vllmd why` has the numbers of the failure itself.
What is printed is a regular expression, looked for in errors only.
"""
TITLES = {
    "memory": "Memory",
    "arguments": "Arguments",
    "hub": "The model hub",
    "object_store": "Object stores",
    "model": "The model's files",
    "network": "Network",
    "files": "Files and limits",
    "install": "What is installed",
    "gpu": "GPU and driver",
    "processes": "Processes",
    "class_of_libraries": "Known by the class of the exception",
}


def causes() -> str:
    """Return the page."""
    parts: list[str] = []
    seen: set[str] = set()
    for subject, rows in SUBJECTS.items():
        names = dict.fromkeys(each.name for each in rows if each.name not in seen)
        parts += [f"## {TITLES[subject]}"] if names else []
        for name in names:
            seen.add(name)
            parts += _section(name, [each for each in CAUSES if each.name == name])
    return page("Causes", ABOUT, parts)


def _section(name: str, rows: list[Cause]) -> Iterator[str]:
    yield f"### {name}"
    told = [row for row in rows if row.rank != Rank.CLASS] or rows[:1]
    for words in dict.fromkeys((row.explanation, row.advice) for row in told):
        yield f"{plain(words[0])} **{plain(words[1])}**"
    yield f"Kind: {', '.join(dict.fromkeys(str(row.kind) for row in rows))}"
    signs = dict.fromkeys(sign for row in rows for sign in (*row.signs, *row.said))
    if signs:
        yield "Printed as:"
        yield block("\n".join(" ".join(sign.splitlines()) for sign in signs))


def names() -> set[str]:
    """Return all names."""
    return {cause.name for table in SUBJECTS.values() for cause in table}
