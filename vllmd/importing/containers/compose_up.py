"""`docker compose … up` in a script, as the containers that it starts. Pure.

Source: docker-compose(1): the files that are named go one over the other; without any it looks for
one in the working directory.
"""

from collections.abc import Sequence

from vllmd.importing.containers.compose import ComposeUp, is_compose, specs_of_compose
from vllmd.importing.containers.spec import ContainerSpec
from vllmd.importing.known_commands import CONTAINER_ENGINES
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
    paths = [join(around.folder, v) for name, v in given if name in ("-f", "--file")]
    if not paths:
        beside = [join(around.folder, each) for each in _NAMES]
        paths = [each for each in beside if around.files.read(each) is not None][:1]
    texts = [around.files.read(each) for each in paths]
    if not texts or texts[0] is None or None in texts:
        return None
    tables = documents(texts[0], paths[0])
    if len(tables) != 1 or not isinstance(tables[0], Table) or not is_compose(tables[0]):
        return None
    named = any(name in ("-f", "--file") for name, _ in given)
    files = [(p, t) for p, t in zip(paths[1:], texts[1:], strict=True) if t is not None]
    env_file = next((value for name, value in given if name == "--env-file"), ".env")
    up = ComposeUp(files, plain[1:], join(around.folder, env_file), beside=not named)
    profiles = [value for name, value in given if name == "--profile"]
    return specs_of_compose(tables[0], paths[0], profiles, around, notes, up)


def _parted(words: list[str]) -> tuple[list[tuple[str, str]], list[str]]:
    """Return the options with their values, and the other words."""
    given, plain = [], []
    while words:
        word = words.pop(0)
        name, equals, value = word.partition("=")
        if not word.startswith("-"):
            plain.append(word)
        elif equals:
            given.append((name, value))
        elif word in _TAKES and words:
            given.append((word, words.pop(0)))
        else:
            given.append((word, ""))
    return given, plain
