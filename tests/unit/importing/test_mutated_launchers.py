"""Launchers with mistakes in them: refused, or taken over with nothing lost; never a traceback."""

import random
import re
import tomllib

import pytest

from tests.launchers.corpus import FOLDER
from vllmd.config.command import build_all
from vllmd.config.load import parse
from vllmd.config.problem import InvalidConfigError
from vllmd.errors import VllmdError
from vllmd.importing.comparison import compare
from vllmd.importing.result import engines_of
from vllmd.importing.source import Source, read
from vllmd.importing.surroundings import Notes, Surroundings
from vllmd.importing.writing import write

SCRAPS = ["'", '"', "$", "$X", "${", "$((", "(", ")", "{", "}", "`", "\\", "|", "&&", ";", "\n"]
SCRAPS += ["<<E\n", "#", " ", "%", "[", "]", ": ", "- ", "*", "!", "&a", "~", "\t", "=", ","]


def texts() -> list[tuple[str, str]]:
    """Return all launchers of the corpus, with the names that they are known by."""
    found = []
    for path in sorted(FOLDER.rglob("*")):
        if path.is_file() and path.parent != FOLDER and path.suffix != ".pyc":
            if path.name != "case.toml":
                found.append((path.name, path.read_text()))
                continue
            words = tomllib.loads(path.read_text())["command"]
            found += [("command line", word) for word in words if " " in word]
    return found


def mutated(text: str, chance: random.Random, others: list[tuple[str, str]]) -> str:
    for _ in range(chance.randint(1, 4)):
        at = chance.randrange(len(text) + 1)
        end = min(len(text), at + chance.randint(1, 12))
        match chance.randrange(5):
            case 0:
                text = text[:at] + text[end:]
            case 1:
                text = text[:at] + chance.choice(SCRAPS) + text[at:]
            case 2:
                text = text[:end] + text[at:]
            case 3:
                lines = text.split("\n")
                lines.pop(chance.randrange(len(lines)))
                text = "\n".join(lines)
            case _:
                text = f"{text}\n{chance.choice(others)[1]}"
    return text


@pytest.mark.parametrize("seed", range(8))
def test_launcher_with_mistakes_is_refused_or_taken_over_whole(seed: int) -> None:
    chance = random.Random(seed)
    known = texts()
    taken = 0
    for _ in range(60):
        name, text = chance.choice(known)
        notes = Notes()
        try:
            launches = read(Source(mutated(text, chance, known), name), Surroundings(), notes)
            engines = engines_of(launches, None, Surroundings(), notes)
            if notes.problems:
                continue
            made = write({each.name: each.table for each in engines})
            config, _ = parse(made)
        except (VllmdError, InvalidConfigError):
            continue
        taken += 1
        assert not re.search(r"[\ue000-\ue008]|\$[A-Za-z_{(]", made), made
        commands = build_all(config)
        for each in engines:
            found = compare(each.name, each.launch, each.table, commands[each.name])
            assert not found.unexplained, found
    assert taken
