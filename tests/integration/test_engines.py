"""`vllmd engine` with real uv and small real wheels, and an engine that serves meanwhile."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.helpers.ports import free_port
from tests.helpers.site import DAEMON, VLLMD, Site, running, wait_for
from tests.helpers.wheels import NUMBERS, wheel

CONFIG = (
    DAEMON
    + """poll_s = 0.3

[engines.chat]
model = "org/model"
served_model_name = "tiny"
executable = "{prefix}/current/bin/vllm"
port = {api}
unready_s = 0
drain_s = 1
enable_prefix_caching = false
flags = {{ dtype = "auto" }}
env = {{ STAND_IN_PYTHON = "{python}", VLLMD_STAND_IN_LOAD_S = "0.2" }}
"""
)


class Bench:
    """A prefix, a folder of wheels, and the command."""

    def __init__(self, folder: Path) -> None:
        self.prefix = folder / "engine"
        self.wheels = folder / "wheels"
        self.socket = folder / "run" / "control.sock"

    def engine(self, *arguments: str, code: int = 0) -> str:
        command = [str(VLLMD), "engine", *arguments, "--prefix", str(self.prefix)]
        if arguments[0] in ("install", "use", "rollback"):
            command += ["--socket", str(self.socket)]
        env = {k: v for k, v in os.environ.items() if not k.startswith("UV_")}
        done = subprocess.run(command, env=env, capture_output=True, text=True, check=False)
        assert done.returncode == code, done.stdout + done.stderr
        return done.stdout + done.stderr

    def install(self, version: str, *more: str) -> str:
        return self.engine("install", version, "--cuda", "--wheels", str(self.wheels), *more)

    def rows(self) -> dict[str, list[str]]:
        listed = json.loads(self.engine("list", "--json"))["engines"]
        return {each["name"]: each["is"] for each in listed}


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    made = Bench(tmp_path)
    wheel(made.wheels, "0.31.0", numbers=("port", "max-model-len", "shutdown-timeout"))
    wheel(made.wheels, "0.32.0", numbers=(*NUMBERS, "new-flag"))
    return made


def test_two_versions_lie_side_by_side_and_one_command_goes_back(bench: Bench) -> None:
    assert "0.31.0 is current" in bench.install("0.31.0")
    said = bench.install("0.32.0")
    assert "'vllmd engine rollback' goes back" in said
    assert bench.rows() == {"0.31.0": ["previous"], "0.32.0": ["current"]}
    assert "0.31.0 is current; it was 0.32.0" in bench.engine("rollback")
    assert bench.rows() == {"0.31.0": ["current"], "0.32.0": ["previous"]}
    assert "0.32.0 is current" in bench.engine("use", "0.32.0")
    assert "is the current engine" in bench.engine("remove", "0.32.0", code=1)
    assert "0.31.0 is removed" in bench.engine("remove", "0.31.0")
    assert bench.rows() == {"0.32.0": ["current"]}
    assert "nothing was current" in bench.engine("rollback", code=1)
    lock = (bench.prefix / ".records/0.32.0.lock.txt").read_text()
    assert "vllm==0.32.0" in lock
    assert "--hash=sha256:" in lock
    assert not (bench.prefix / ".cache").exists()


def test_service_user_can_read_what_a_strict_umask_installs(bench: Bench) -> None:
    old = os.umask(0o077)
    try:
        bench.install("0.32.0")
    finally:
        os.umask(old)
    for path in (bench.prefix, bench.prefix / "current", bench.prefix / "current/bin/vllm"):
        assert path.stat().st_mode & 0o005 == 0o005, path
    assert (bench.prefix / ".records/0.32.0.flags.json").stat().st_mode & 0o004
    assert list((bench.prefix / "0.32.0").glob("lib/*/site-packages/vllm/**/*.pyc"))


def test_verify_names_what_was_changed(bench: Bench) -> None:
    bench.install("0.32.0")
    assert "all as they came" in bench.engine("verify")
    (changed,) = (bench.prefix / "0.32.0").glob("lib/*/site-packages/vllm/entrypoints/cli/main.py")
    changed.write_text("import os\n")
    assert f"{changed} was changed" in bench.engine("verify", "0.32.0", code=1)


def test_flags_of_each_version_are_its_own(bench: Bench) -> None:
    bench.install("0.31.0")
    bench.install("0.32.0")
    assert "new-flag" not in bench.engine("flags", "0.31.0")
    said = bench.engine("flags", "--grep", "NEW")
    assert "--new-flag  integer" in said
    shown = json.loads(bench.engine("flags", "--grep", "quick", "--json"))
    assert [each["names"] for each in shown["flags"]] == [["--quick", "--no-quick"]]
    old = json.loads(bench.engine("flags", "--grep", "^--old", "--json"))["flags"]
    assert old[0]["deprecated"]


def test_broken_import_leaves_the_current_engine_and_is_taken_up_again(bench: Bench) -> None:
    bench.install("0.31.0")
    library = bench.wheels / "library"
    wheel(bench.wheels, "0.33.0", first=f"open({str(library)!r})\n")
    said = bench.engine("install", "0.33.0", "--cuda", "--wheels", str(bench.wheels), code=1)
    assert f"No such file or directory: {str(library)!r}" in said
    assert bench.rows() == {"0.31.0": ["current"], "0.33.0": ["incomplete"]}
    assert "is not complete" in bench.engine("use", "0.33.0", code=1)
    library.touch()
    assert "0.33.0 is current" in bench.install("0.33.0")
    assert bench.rows() == {"0.31.0": ["previous"], "0.33.0": ["current"]}


def test_killed_in_the_middle_goes_on_when_asked_again(bench: Bench) -> None:
    go = bench.wheels / "go"
    waits = f"import os, time\nwhile not os.path.exists({str(go)!r}):\n    time.sleep(0.1)\n"
    wheel(bench.wheels, "0.32.0", first=waits)
    command = [str(VLLMD), "engine", "install", "0.32.0", "--cuda", "--wheels", str(bench.wheels)]
    install = subprocess.Popen(
        [*command, "--prefix", str(bench.prefix)], stderr=subprocess.PIPE, start_new_session=True
    )
    log = bench.prefix / ".records/0.32.0.log"
    wait_for("the import", lambda: log.exists() and "probe.py" in log.read_text())
    os.killpg(install.pid, signal.SIGKILL)
    install.communicate()
    assert bench.rows() == {"0.32.0": ["incomplete"]}
    go.touch()
    bench.install("0.32.0")
    assert bench.rows() == {"0.32.0": ["current"]}


def test_what_cannot_be_had_is_said(bench: Bench) -> None:
    assert "0.30.0" in bench.engine(
        "install", "0.30.0", "--cuda", "--wheels", str(bench.wheels), code=1
    )
    assert "no version such as" in bench.engine("install", "latest", code=2)
    assert "no program that can be run" in bench.engine(
        "install", "0.32.0", "--cuda", "--uv", "/no/uv", code=1
    )
    assert "no engine '9'" in bench.engine("use", "9", code=66)


def test_uv_is_brought_where_there_is_none(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """By pip, from the index, its hash pinned; the network is needed for this one."""
    code = (
        "import sys; from pathlib import Path; from vllmd.installing import uv_program;"
        "p = Path(sys.argv[1]); p.mkdir(); print(uv_program.bring(p, p / 'log'))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(bench.prefix)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    found = subprocess.run([done.stdout.strip(), "--version"], capture_output=True, check=True)
    assert found.stdout.startswith(b"uv ")


def test_adopted_engine_is_linked_asked_and_only_forgotten(bench: Bench, tmp_path: Path) -> None:
    elsewhere = Bench(tmp_path / "elsewhere")
    elsewhere.wheels = bench.wheels
    elsewhere.prefix.parent.mkdir()
    elsewhere.install("0.31.0")
    theirs = elsewhere.prefix / "0.31.0"
    said = bench.engine("adopt", str(theirs / "bin" / "vllm"), "--name", "0.31.0+theirs")
    assert "0.31.0+theirs: vLLM 0.31.0" in said
    bench.engine("use", "0.31.0+theirs")
    assert bench.rows() == {"0.31.0+theirs": ["current", "adopted"]}
    assert "--quick" in bench.engine("flags")
    bench.install("0.32.0")
    bench.engine("remove", "0.31.0+theirs")
    assert (theirs / "bin" / "vllm").exists()
    assert "is no environment" in bench.engine("adopt", str(tmp_path), code=1)


@pytest.fixture
def served(bench: Bench, tmp_path: Path) -> Iterator[Site]:
    bench.install("0.31.0")
    exporter, api = free_port(), free_port()
    text = CONFIG.format(
        folder=tmp_path, exporter=exporter, api=api, prefix=bench.prefix, python=sys.executable
    )
    site = Site(tmp_path, text, exporter_port=exporter, api_port=api)
    with running(site):
        site.wait_state("chat", "ready")
        yield site


def test_running_engine_is_untouched_until_its_restart(served: Site, bench: Bench) -> None:
    before = served.engine("chat")
    title = f"{bench.prefix}/0.31.0/bin/vllm"
    assert any(title in line for line in served.tree("chat"))
    said = bench.install("0.32.0")
    assert "chat serves on with what it was started with, until 'vllmd restart chat'" in said
    served.chat("tiny")
    now = served.wait_state("chat", "ready")
    assert now["run_id"] == before["run_id"]
    assert "is in use (pid" in bench.engine("remove", "0.31.0", code=1)
    served.vllmd("restart", "chat")
    served.wait_new_run("chat", before, 30)
    assert any(f"{bench.prefix}/0.32.0/bin/vllm" in line for line in served.tree("chat"))
    again = served.engine("chat")
    bench.engine("rollback")
    served.vllmd("restart", "chat")
    served.wait_new_run("chat", again, 30)
    assert any(title in line for line in served.tree("chat"))


def test_doctor_looks_at_an_engine_that_is_started_and_repeats_nothing(served: Site) -> None:
    def doubts() -> list[str]:
        return [line for line in served.log().splitlines() if "engine.doubted" in line]

    wait_for("a doubt", lambda: any("prefix-caching" in line for line in doubts()))
    many = len(doubts())
    before = served.engine("chat")
    served.vllmd("restart", "chat")
    served.wait_new_run("chat", before, 30)
    time.sleep(2)  # as long as a doctor takes
    assert len(doubts()) == many
    assert "engine.not_examined" not in served.log()
    told = served.vllmd("events", "--json")
    assert "engine.doubted" in told.stdout


def test_check_catches_a_typo_before_the_start(served: Site, tmp_path: Path) -> None:
    text = served.config.read_text().replace('dtype = "auto"', 'quik = true, dtype = "float99"')
    wrong = tmp_path / "wrong.toml"
    wrong.write_text(text.replace("[engines.chat]", "[engines.chat]\nmax_num_seqs = 4"))
    done = served.vllmd("check", "--config", str(wrong))
    assert done.returncode == 78
    assert 'vLLM 0.31.0 has no flag --quik; did you mean "quick"?' in done.stderr
    assert "got 'float99' for --dtype; vLLM 0.31.0 takes one of auto, float16" in done.stderr
    assert "vLLM 0.31.0 has no --max-num-seqs, which this key sets" in done.stderr
    deep = served.vllmd("check", "--deep", "--offline", "--json", "--config", str(served.config))
    assert {"port-taken"}.isdisjoint(e["check"] for e in json.loads(deep.stdout)["findings"])
