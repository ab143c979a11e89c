"""Seven things that break an engine: one command says what it was, without a look at a log."""

import os
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.helpers.disk import fill, small_disk
from tests.helpers.outcomes import Outcome
from tests.helpers.ports import free_port
from tests.helpers.site import DAEMON, Site, site, wait_for

LOADS_FOR_EVER = """#!/bin/sh
[ "$1" = serve ] || exit 0
exec sleep 600
"""
PRINTS_AND_ENDS = """#!/bin/sh
[ "$1" = serve ] || exit 0
echo "(APIServer pid=1) pydantic_core._pydantic_core.ValidationError: 1 validation error for" \\
     "VllmConfig"
echo "(APIServer pid=1)   Value error, Total number of attention heads (14) must be divisible by" \\
     "tensor parallel size (4). [type=value_error, input_value=ArgsKwargs((), {}), input_type=x]"
exit 1
"""
CONFIG = (
    DAEMON
    + """
[engines.chat]
env = {{ CUDA_VISIBLE_DEVICES = "0" }}
model = "org/model"
executable = "stand-in"
port = {api}
unready_s = 0
restart = {{ initial_s = 0.2, max_s = 1 }}

[engines.taken]
env = {{ CUDA_VISIBLE_DEVICES = "1" }}
model = "org/model"
executable = "stand-in"
port = {taken}
restart = {{ initial_s = 0.2, max_s = 600 }}

[engines.folder]
env = {{ CUDA_VISIBLE_DEVICES = "2" }}
model = "/nothing/modle"
executable = "{folder}/loads"
port = {other}

[engines.heads]
env = {{ CUDA_VISIBLE_DEVICES = "3" }}
model = "org/model"
executable = "{folder}/prints"
port = {another}
"""
)


@pytest.fixture
def broken(tmp_path: Path) -> Iterator[Site]:
    """A host on which three engines cannot start; `chat` serves."""
    for name, text in (("loads", LOADS_FOR_EVER), ("prints", PRINTS_AND_ENDS)):
        (tmp_path / name).write_text(text)
        (tmp_path / name).chmod(0o755)
    exporter, api, other, another = (free_port() for _ in range(4))
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        held.listen()
        text = CONFIG.format(
            folder=tmp_path,
            exporter=exporter,
            api=api,
            taken=held.getsockname()[1],
            other=other,
            another=another,
        )
        with (
            small_disk(tmp_path / "log", "4m"),
            site(tmp_path, text, exporter_port=exporter, api_port=api) as made,
        ):
            made.wait_state("chat", "ready", 120.0)
            yield made


def told(made: Site, command: str, *words: str) -> None:
    """Wait until this one command says all the words together."""

    def says() -> bool:
        shown = " ".join(made.vllmd(*command.split()).stdout.split())
        return all(word in shown for word in words)

    wait_for(f"{command}: {words}", says, timeout_s=120.0)


def test_one_command_says_what_broke(broken: Site, outcome: Outcome) -> None:
    told(broken, "status", "taken: ", "(port_in_use)", f"(pid {os.getpid()})")
    told(broken, "status", "folder: will probably fail: ", "there is no folder '/nothing/modle'")
    told(broken, "status", "heads: ", "attention heads (14) must be divisible by")
    told(broken, "why heads", "(14) must be divisible by tensor parallel size (4)")

    os.kill(broken.process("chat", "VLLM::EngineCore").pid, 9)
    told(broken, "why chat", "(cause: engine_core_died)")
    told(broken, "status", "chat: last exit, ", "(engine_core_died)")
    broken.wait_state("chat", "ready", 120.0)

    os.kill(broken.engine("chat")["pid"], 9)
    told(broken, "status", "chat: last exit, ", "SIGKILL")
    broken.wait_state("chat", "ready", 120.0)

    fill(broken.folder / "log")
    told(broken, "status", "VllmdDiskFull: the disk with vllmd's logs is nearly full")
    outcome("seven failures of a new installation", "each told by one command")


def test_misspelt_key_is_told_with_its_line_and_what_was_meant(tmp_path: Path) -> None:
    made = Site(tmp_path, "", exporter_port=free_port(), api_port=free_port())
    made.config.write_text('[engines.chat]\nmodel = "org/model"\nmax_num_seq = 4\n')
    result = made.vllmd("check", "-c", str(made.config))
    assert result.returncode == 78
    assert f"{made.config}:3: " in result.stderr
    assert 'did you mean "max_num_seqs"?' in result.stderr
