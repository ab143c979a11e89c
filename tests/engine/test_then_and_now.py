"""Then and now of `vllmd import`, held against vLLM's own parser: both commands are read by it."""

import json
import subprocess
import tempfile
from pathlib import Path

import attrs

from tests.helpers.real import program_and_model
from tests.launchers.corpus import Case, cases, compared
from vllmd.config.command import build
from vllmd.config.model import EngineConfig
from vllmd.importing.comparison import Comparison
from vllmd.importing.launch import Launch
from vllmd.importing.serving import MODULES
from vllmd.importing.unknown import as_written
from vllmd.installing.removed_flags import what_to_do

SCRIPT = Path(__file__).with_name("parse_commands.py")
LIMIT_S = 300.0
OF_OLD_VERSIONS = {
    "line-uv-run main": ["level\n  Unexpected keyword"],
    "line-without-quotes main": ["unrecognized arguments: --name-of-no-flag"],
    "shell-ports-read main": ["Value image=1,video=1 cannot be converted"],
    "shell-ports-read main-2": ["Value image=1,video=1 cannot be converted"],
    "line-old-values main": ["--limit-mm-per-prompt: Value image=2,video=0 cannot be converted"],
}
"""Launchers that this version refuses, as they are, and for what."""
OF_NO_VERSION = {"line-without-quotes main"}
"""`vllmd check` finds what is wrong with it."""


@attrs.frozen
class Pair:
    """What vLLM is told then and now, of one engine of a launcher."""

    name: str
    then: list[str]
    now: list[str]
    said: Comparison


def pair_of(case: Case, launch: Launch, argv: tuple[str, ...], said: Comparison) -> Pair:
    ran = [as_written(each) for each in launch.ran or ("vllm", "serve", *launch.arguments)]
    then = without_removed(arguments(ran), said)
    return Pair(f"{case.name} {said.engine}", then, list(argv[argv.index("serve") :]), said)


def folder_of(launch: Launch, outside: Path) -> str:
    """Return where it was run, with the files that it writes itself."""
    folder = Path(launch.folder or outside)
    if folder.is_relative_to(outside):
        folder.mkdir(exist_ok=True)  # the launcher may make it itself
        return str(folder)
    made = Path(tempfile.mkdtemp(dir=outside))
    for path, text in launch.written.items():
        if Path(path).parent == folder:
            (made / Path(path).name).write_text(text)
    return str(made)


def with_files(words: list[str], launch: Launch, outside: Path) -> list[str]:
    """Let whole paths lead to the files that the launcher writes itself, or mounts."""
    mounts = launch.container.mounts if launch.container else ()
    outside_of = {each.inside: Path(each.outside) for each in mounts if each.outside}
    made = {inside: path for inside, path in outside_of.items() if path.is_file()}
    for path, text in launch.written.items():
        if path in words:
            made[path] = Path(tempfile.mkdtemp(dir=outside)) / Path(path).name
            made[path].write_text(text)
    return [str(made.get(word, word)) for word in words]


def arguments(ran: list[str]) -> list[str]:
    """Return what follows the program, or the module."""
    for index, word in enumerate(ran):
        if word in MODULES or word.endswith(("/vllm", "api_server.py")) or word == "vllm":
            return ran[index + 1 :]
    raise AssertionError(ran)


def without_removed(words: list[str], said: Comparison) -> list[str]:
    """Leave out what this vLLM has no more, of which `said` has a reason."""
    told = {each.name for each in said.differences if each.reason and each.now is None}
    kept: list[str] = []
    skipping = False
    for word in words:
        if word.startswith("-"):
            name = word.partition("=")[0].lstrip("-").replace("_", "-")
            skipping = f"--{name}" in told and what_to_do(name) is not None
        if not skipping:
            kept.append(word)
    return kept


def test_each_difference_that_vllm_sees_was_named(tmp_path: Path) -> None:
    found_in: list[str] = []
    pairs: list[Pair] = []
    for case in cases():
        for launch, command, said in compared(case, tmp_path) if case.engines else ():
            pair = pair_of(case, launch, command.argv, said)
            pairs.append(attrs.evolve(pair, then=with_files(pair.then, launch, tmp_path)))
            found_in.append(folder_of(launch, tmp_path))
    assert len(pairs) >= 60
    program, _ = program_and_model()
    found = tmp_path / "found.json"
    subprocess.run(
        [str(program.with_name("python")), "-I", str(SCRIPT), str(found)],
        input=json.dumps([[w, p.then, p.now] for w, p in zip(found_in, pairs, strict=True)]),
        text=True,
        check=True,
        capture_output=True,
        timeout=LIMIT_S,
        cwd=tmp_path,
    )
    wrong = []
    for pair, each in zip(pairs, json.loads(found.read_text()), strict=True):
        named = {one.name.partition(".")[0] for one in pair.said.differences if one.reason}
        before, after = each["refused"]
        if before and not any(words in before for words in OF_OLD_VERSIONS.get(pair.name, ())):
            wrong.append((pair.name, "then", before))
        if after and pair.name not in OF_NO_VERSION:
            wrong.append((pair.name, "now", after))
        wrong += [
            (pair.name, name, *values)
            for name, values in each["differ"].items()
            if name not in named
        ]
    assert not wrong, "\n".join(map(str, wrong))


def test_file_of_several_keys_is_to_vllm_what_the_arguments_are(tmp_path: Path) -> None:
    keys = ("first-key", "second-key")
    engine = EngineConfig("chat", "m", api_keys=keys)
    command = build(engine, {}, run=tmp_path)
    assert command.key_file is not None
    command.key_file.path.parent.mkdir()
    command.key_file.path.write_text(command.key_file.text)
    now = list(command.argv[command.argv.index("serve") :])
    as_arguments = [*now[: now.index("--config")], "--api-key", *keys]
    program, _ = program_and_model()
    found = tmp_path / "found.json"
    subprocess.run(
        [str(program.with_name("python")), "-I", str(SCRIPT), str(found)],
        input=json.dumps([[str(tmp_path), as_arguments, now], [str(tmp_path), now, now[:-2]]]),
        text=True,
        check=True,
        capture_output=True,
        timeout=LIMIT_S,
        cwd=tmp_path,
    )
    same, without = json.loads(found.read_text())
    assert same == {"refused": [None, None], "differ": {}}
    assert without["differ"]["--api-key"] == ['["first-key", "second-key"]', "null"]
