"""`docker compose … up` in a script, as the containers that it starts. Pure.

Source: docker-compose(1): the files that are named go one over the other; without any it looks for
one in the working directory.
"""

from collections.abc import Sequence
from itertools import islice

from vllmd.importing.containers.compose import ComposeUp, is_compose, specs_of_compose
from vllmd.importing.containers.spec import ContainerSpec
from vllmd.importing.known_commands import CONTAINER_ENGINES
from vllmd.importing.prefixes import take_options
from vllmd.importing.surroundings import Notes, Surroundings, join
from vllmd.importing.yaml_values import Table, documents

_NAMES = ("compose.yaml", "compose.yml", "docker-compose.yml", "docker-compose.yaml")
_TAKES = frozenset(
    {"-f", "--file", "--profile", "--env-file", "-p", "--project-name", "--project-directory"}
    | {"--ansi", "--parallel", "--progress", "-t", "--timeout", "--wait-timeout", "--pull"}
    | {"--exit-code-from", "--scale", "--attach", "--no-attach", "-H", "--host", "--context", "-c"}
)
_UNREAD = frozenset({"--scale", "--project-directory"})


def is_up(words: Sequence[str]) -> bool:
    """Tell a command that starts what a compose file says."""
    name = words[0].rsplit("/", 1)[-1]
    compose = name in ("docker-compose", "podman-compose") or (
        name in CONTAINER_ENGINES and "compose" in words[1:3]
    )
    return compose and bool({"up", "start", "run"} & set(words))


def specs_of_up(
    words: Sequence[str], around: Surroundings, notes: Notes
) -> list[ContainerSpec] | None:
    """Return the containers of vLLM that it starts; None where its files cannot be read here."""
    given, plain = _parted(list(words[1:]))
    plain = plain[1:] if plain[:1] == ["compose"] else plain
    if plain[:1] != ["up"] or _UNREAD & {name for name, _ in given} or around.folder is None:
        return None
    named = [join(around.folder, value) for name, value in given if name in ("-f", "--file")]
    paths = named or [join(around.folder, each) for each in _NAMES]
    most = len(named) or 1
    texts = ((path, text) for path in paths if (text := around.files.read(path)) is not None)
    found = list(islice(texts, most))
    if len(found) < most:
        return None
    (path, text), *others = found
    tables = documents(text, path)
    if len(tables) != 1 or not isinstance(tables[0], Table) or not is_compose(tables[0]):
        return None
    env_file = next((value for name, value in given if name == "--env-file"), ".env")
    up = ComposeUp(others, plain[1:], join(around.folder, env_file), beside=not named)
    profiles = [value for name, value in given if name == "--profile"]
    return specs_of_compose(tables[0], path, profiles, around, notes, up)


def _parted(words: list[str]) -> tuple[list[tuple[str, str]], list[str]]:
    """Return the options with their values, and the other words."""
    given: list[tuple[str, str]] = []
    plain: list[str] = []
    while words:
        given += take_options(words, _TAKES)
        plain += words[:1]
        del words[:1]
    return [(name, value.removeprefix("=")) for name, value in given], plain
