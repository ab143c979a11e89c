"""Failures that people have, provoked on a real vLLM: what `vllmd why` says, after how long.

Too long for `make test`: `make failures` runs it. Processes that are killed or stopped are in
tests/engine: test_real.py::test_kill_is_followed_by_a_serving_engine_and_no_orphan (EngineCore, a
worker, the API server), test_hangs.py::test_core_that_hangs_with_work_is_found_and_replaced
(SIGSTOP).
"""

import json
import os
import shutil
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import attrs
import pytest

from tests.helpers.outcomes import outcome_for
from tests.helpers.ports import free_port
from tests.helpers.real import program_and_model
from tests.helpers.site import Site, running
from vllmd.demo.real import config_text

WITHIN_S = 300.0
"""A limit for a test that hangs; a start fails after 10 to 50 s on two idle cores."""


@attrs.define
class Case:
    """A configuration that a test breaks, and the copy of the model that it serves."""

    folder: Path
    program: Path
    model: Path
    text: str
    port: int

    def replace(self, old: str, new: str) -> None:
        assert old in self.text
        self.text = self.text.replace(old, new)

    def flag(self, line: str) -> None:
        self.replace("[engines.tiny.flags]\n", f"[engines.tiny.flags]\n{line}\n")

    def as_a_flag(self) -> None:
        """Let vLLM load the adapter at its start; vllmd's own loading keeps what serves."""
        self.replace(f'modules = {{ domain = "{self.model}/lora" }}\n', "")
        self.run_as(after=f"--lora-modules domain={self.model}/lora")

    def run_as(self, *prefix: str, after: str = "") -> None:
        """Put a program before vLLM, or arguments behind its own."""
        script = self.folder / "vllm"
        command = " ".join((*prefix, str(self.program)))
        script.write_text(f'#!/bin/sh\nexec {command} "$@" {after}\n')
        script.chmod(0o755)
        self.replace(f'"{self.program}"', f'"{script}"')


TIER = "failures"
"""The file of outcomes that tools/reliability.py makes a table of."""
Break = Callable[[Case], object]
BROKEN: dict[str, tuple[Break, set[str]]] = {}
"""By the words for a person: what is broken, and the causes that are right."""


def broken(words: str, *causes: str) -> Callable[[Break], Break]:
    def note(do: Break) -> Break:
        BROKEN[words] = (do, set(causes))
        return do

    return note


@broken("the model's folder is wrong", "model_not_found")
def _(case: Case) -> None:
    case.replace(f"{case.model}/model", f"{case.folder}/nothere")


@broken("a flag is misspelt", "unknown_flag")
def _(case: Case) -> None:
    case.flag("enable-prefix-cachng = true")


@broken("tensor parallel 3 for 4 heads", "parallel_misfit")
def _(case: Case) -> None:
    case.flag("tensor-parallel-size = 3")


@broken("the context is too long", "context_too_long")
def _(case: Case) -> None:
    case.replace("max_model_len = 512", "max_model_len = 1000000")


@broken("the chat template is missing", "file_missing")
def _(case: Case) -> None:
    case.flag('chat-template = "/srv/template.jinja"')


@broken("the weights are cut", "weights_damaged")
def _(case: Case) -> None:
    for path in (case.model / "model").glob("*.safetensors"):
        os.truncate(path, path.stat().st_size // 2)


@broken("config.json is damaged", "weights_damaged", "config_rejected", "unsupported_model")
def _(case: Case) -> None:
    (case.model / "model" / "config.json").write_text('{"architectures": [')


@broken("an adapter's rank is too high", "lora_rank")
def _(case: Case) -> None:
    path = case.model / "lora" / "adapter_config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "r": 32}))
    case.as_a_flag()


@broken("an adapter's folder is missing", "lora_unusable")
def _(case: Case) -> None:
    shutil.rmtree(case.model / "lora")
    case.as_a_flag()


@broken("no space is left for the sockets of its processes", "disk_full")
def _(case: Case) -> Iterator[None]:
    full = case.folder / "full"
    full.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "nr_inodes=1", "tmpfs", str(full)]
    subprocess.run(mount, check=True)
    try:
        case.replace("[engines.tiny.env]\n", f'[engines.tiny.env]\nVLLM_RPC_BASE_PATH = "{full}"\n')
        yield
    finally:
        subprocess.run(["umount", "--lazy", str(full)], check=True)


@broken("the model may not be read", "permission_denied", "model_not_found")
def _(case: Case) -> None:
    for folder in (case.folder.parent, case.folder, case.model):
        folder.chmod(0o755)
    (case.model / "model").chmod(0o700)
    case.run_as("setpriv", "--reuid=65534", "--regid=65534", "--clear-groups")


@broken("the port is taken", "port_in_use")
def _(case: Case) -> Iterator[None]:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", case.port))
        taken.listen()
        yield


@pytest.mark.skipif(os.geteuid() != 0, reason="gives rights up: needs root")
@pytest.mark.parametrize("words", BROKEN)
def test_failure_is_named(words: str, tmp_path: Path, request: pytest.FixtureRequest) -> None:
    program, model = program_and_model()
    shutil.copytree(model, tmp_path / "copy")
    exporter, port = free_port(), free_port()
    text = config_text(
        tmp_path, program, tmp_path / "copy", port=port, exporter_port=exporter
    ).replace("[engines.tiny]", "poll_s = 1\n\n[engines.tiny]", 1)
    case = Case(tmp_path, program, tmp_path / "copy", text, port)
    do, causes = BROKEN[words]
    undo = do(case)
    if isinstance(undo, Iterator):
        next(undo)
    made = Site(tmp_path, case.text, exporter_port=exporter, api_port=port)
    began = time.monotonic()
    try:
        with running(made):
            found, after_s, doubted_s = _why(made, began)
            shown = made.vllmd("why", "tiny").stdout
    finally:
        if isinstance(undo, Iterator):
            next(undo, None)
    print(f"\n{words}: after {after_s:.0f} s\n{shown}")
    assert found in causes
    early = "" if doubted_s is None else f"; `vllmd status` doubted it after {doubted_s:.0f} s"
    outcome_for(TIER, request)(words, f"`{found}` after {after_s:.0f} s{early}")


def _why(made: Site, began: float) -> tuple[str, float, float | None]:
    """Return the cause, after how many seconds it was told, and after how many it was feared."""
    doubted_s = None
    while time.monotonic() - began < WITHIN_S:
        engine = made.engine("tiny")
        if (last := engine["last_exit"]) and (found := last.get("diagnosis")):
            return str(found["cause"]), time.monotonic() - began, doubted_s
        if doubted_s is None and "will probably fail" in (shown := made.vllmd("status").stdout):
            doubted_s = time.monotonic() - began
            print(f"{doubted_s:.0f} s: {shown}")
        if problem := engine["problem"]:
            print(f"{time.monotonic() - began:.0f} s: {problem}")
        time.sleep(1)
    raise AssertionError(f"nothing was said: {made.engine('tiny')}\n{made.log()[-3000:]}")
