"""The examples of CONTRIBUTING.md: how each thing is added, as text that a test can do."""

import re
from pathlib import Path

import attrs

ROOT = Path(__file__).parents[2]
TEXT = (ROOT / "CONTRIBUTING.md").read_text()


@attrs.frozen
class Example:
    """How one thing is added: the lines for each file, and the tests that look at it."""

    title: str
    files: list[tuple[str, list[str]]]
    checks: list[str]


def read_example(section: str) -> Example | None:
    """Return the example of a section; None if it has none."""
    title, text = section.split("\n", 1)
    before, found, diff = text.partition("```diff\n")
    if not found:
        return None
    parts = re.split(r"^--- (\S+)\n", diff.split("```")[0], flags=re.MULTILINE)[1:]
    files = [(name, body.splitlines()) for name, body in zip(parts[::2], parts[1::2], strict=True)]
    return Example(title, files, re.findall(r"`(tests/\S+)`", before.split("Check:")[1]))


EXAMPLES = [
    each
    for section in TEXT.split("\n## To add a thing\n")[1].split("\n### ")[1:]
    if (each := read_example(section))
]


def apply(tree: Path, name: str, lines: list[str]) -> None:
    """Change a file as an example says; each place is looked for after the one before it."""
    path = tree / name
    if all(line.startswith("+") for line in lines):
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("a") as file:
            file.writelines(f"{line[1:]}\n" for line in lines)
        return
    rest = path.read_text().splitlines()
    done: list[str] = []
    for hunk in "\n".join(lines).split("\n@@\n"):
        place = [line[1:] for line in hunk.split("\n") if not line.startswith("+")]
        at = find(rest, place)
        assert at is not None, f"{name} has no such lines: {place}"
        done += [*rest[:at], *(line[1:] for line in hunk.split("\n") if not line.startswith("-"))]
        rest = rest[at + len(place) :]
    path.write_text("\n".join([*done, *rest]) + "\n")


def find(lines: list[str], place: list[str]) -> int | None:
    """Return where lines stand that follow each other."""
    starts = range(len(lines) - len(place) + 1)
    return next((at for at in starts if lines[at : at + len(place)] == place), None)
