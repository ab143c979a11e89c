"""What alerts of engines and of the daemon are for, done to engines of one host."""

import os
import signal
import threading
from collections.abc import Iterator, Mapping

import httpx
import pytest

from tests.helpers.ports import free_port
from tests.helpers.site import DAEMON, Site, site, wait_for
from tests.integration.causes.conftest import Watch, Watched, about

ENGINE = """
[engines.{name}]
model = "stand-in/tiny"
served_model_name = "tiny"
executable = "{executable}"
port = {port}
unready_s = 0
stop_grace_s = 5
restart = {{ initial_s = {pause}, max_s = {pause}, max_failures = 20 }}
liveness = {{ stall_s = 2, hang_s = 5, load_stall_s = {load_stall}, restart_stalled = {kill} }}
[engines.{name}.env]
VLLMD_STAND_IN_LOAD_S = "{load}"
CUDA_VISIBLE_DEVICES = "{gpu}"
VLLMD_STAND_IN_GARBAGE = "{garbage}"
{more}
"""
ENGINES: dict[str, dict[str, object]] = {
    "well": {},
    "down": {"pause": 600},
    "held": {"executable": "/nowhere/vllm"},
    "slow": {"load": 100000, "load_stall": 86400},
    "stuck": {"load": 100000, "load_stall": 2},
    "loops": {},
    "hangs": {"kill": "false"},
    "lost": {},
    "wrong": {"more": "[engines.wrong.probe]"},
}
"""What each is given that is another way."""
USUAL: dict[str, object] = {
    "kill": "true",
    "executable": "stand-in",
    "pause": 0.2,
    "load": 0.3,
    "load_stall": 600,
    "more": "",
}
ENDS = "vllmd_daemon_unexpected_ends_total"
FAULTY = ("held", "slow", "stuck", "down")
"""Those that do not serve, one of them once it has died."""
SERVE = ("well", "down", "loops", "hangs", "lost", "wrong")


@pytest.fixture(scope="module")
def ports() -> Mapping[str, int]:
    return {name: free_port() for name in ENGINES}


@pytest.fixture(scope="module")
def host(tmp_path_factory: pytest.TempPathFactory, ports: Mapping[str, int]) -> Iterator[Site]:
    folder = tmp_path_factory.mktemp("engines")
    exporter = free_port()
    text = DAEMON.format(exporter=exporter, folder=folder) + "poll_s = 0.5\n"
    for gpu, (name, keys) in enumerate(ENGINES.items()):  # or one would wait for another to load
        given = {"name": name, "port": ports[name], "gpu": gpu, "garbage": folder / "garbage"}
        text += ENGINE.format(**given, **(USUAL | keys))
    with site(folder, text, exporter_port=exporter, api_port=ports["well"]) as made:
        for name in SERVE:
            made.wait_state(name, "ready", 60)
        yield made


@pytest.fixture
def pages(host: Site, watch: Watch, alert: str) -> Watched:
    return watch(host, alert).well(beside=FAULTY)


def core(host: Site, engine: str) -> int:
    return host.process(engine, "VLLM::EngineCore").pid


@about("VllmdEngineDown")
def test_engine_that_died_and_waits_for_its_next_start(host: Site, pages: Watched) -> None:
    os.kill(core(host, "down"), signal.SIGKILL)
    host.wait_state("down", "backoff")
    pages.look(5).only(engine="down")


@about("VllmdEngineHeld")
def test_engine_whose_program_is_not_there(host: Site, pages: Watched) -> None:
    host.wait_state("held", "held")
    pages.look(5).only(engine="held")


@about("VllmdEngineNotReady")
def test_engine_that_loads_and_does_not_get_there(host: Site, pages: Watched) -> None:
    host.wait_state("slow", "loading")
    pages.look(35).only(engine="slow")


@about("VllmdEngineLoadStalled")
def test_engine_whose_load_stops(host: Site, pages: Watched) -> None:
    pages.until('vllmd_engine_failure_info{vllmd_engine="stuck",cause="load_stalled"}', 1)
    pages.look(40).only(engine="stuck")


@about("VllmdEngineRestartLoop")
def test_engine_that_dies_again_and_again(host: Site, pages: Watched) -> None:
    for n in range(1, 6):
        before = host.engine("loops")
        os.kill(core(host, "loops"), signal.SIGKILL)
        host.wait_new_run("loops", before, 60)
        pages.until('vllmd_engine_restarts_total{vllmd_engine="loops"}', n).look(2)
    pages.only(engine="loops")


@about("VllmdWrongAnswers")
def test_engine_that_answers_garbage(host: Site, pages: Watched) -> None:
    assert host.vllmd("probe", "wrong").returncode == 0
    garbage = host.folder / "garbage"
    garbage.touch()
    try:
        assert host.vllmd("probe", "wrong").returncode == 1
        pages.until('vllmd_probe_verdict{vllmd_engine="wrong",verdict="wrong"}', 1)
        pages.look(5).only(engine="wrong")
    finally:
        garbage.unlink()
        assert host.vllmd("probe", "wrong").returncode == 0


@about("VllmdEngineStalled")
def test_engine_that_hangs_with_work(host: Site, pages: Watched, ports: Mapping[str, int]) -> None:
    held = core(host, "hangs")
    os.kill(held, signal.SIGSTOP)
    asking = threading.Thread(target=ask, args=(ports["hangs"],))
    asking.start()
    try:
        pages.until('vllmd_engine_state{vllmd_engine="hangs",state="stalled"}', 1)
        pages.look(5).only(engine="hangs")
    finally:
        os.kill(held, signal.SIGCONT)
        asking.join()


def ask(port: int) -> None:
    body = {"model": "tiny", "max_tokens": 2, "prompt": "hello"}
    url = f"http://127.0.0.1:{port}/v1/completions"
    httpx.post(url, json=body, trust_env=False, timeout=60)


@about("VllmdRequestsLost")
def test_engine_that_ends_with_requests_in_flight(
    host: Site, pages: Watched, ports: Mapping[str, int]
) -> None:
    before = host.engine("lost")
    body = {"model": "tiny", "max_tokens": 3000, "prompt": "hello", "stream": True}
    url = f"http://127.0.0.1:{ports['lost']}/v1/completions"
    with httpx.Client(trust_env=False) as client, client.stream("POST", url, json=body):
        wait_for("the request", lambda: host.engine("lost")["requests_running"])
        os.kill(core(host, "lost"), signal.SIGKILL)
        host.wait_new_run("lost", before, 60)
    pages.until('vllmd_engine_up{vllmd_engine="lost"}', 1).look(3).only(engine="lost")


@about("VllmdDown")
def test_daemon_that_is_gone(host: Site, pages: Watched) -> None:
    host.kill_daemon()
    try:
        pages.away(5).only()
    finally:
        host.start()
        wait_for("the engine", lambda: host.engine("well")["state"] == "ready")


@about("VllmdDaemonFailed")
def test_daemon_that_was_killed(host: Site, pages: Watched) -> None:
    pages.until('vllmd_engine_up{vllmd_engine="well"}', 1)
    before = pages.value(ENDS)
    host.kill_daemon()
    pages.away(1)
    host.start()
    pages.until("vllmd_history_up", 1)  # it is opened while the first page may be read
    pages.until(ENDS, before + 1).look(2).only(engine="well")
