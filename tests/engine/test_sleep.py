"""vLLM's routes of sleep beside the stand-in's: the same questions, the same answers.

A CPU build has the routes and no sleep mode: it pauses, and gives no memory back. So the flag is
refused there, which is tested too; the memory is for tests/gpu.
"""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx

from tests.engine.conftest import LOAD_S
from tests.helpers.ports import free_port
from tests.helpers.real import program_and_model
from tests.helpers.site import DAEMON, Site, site, wait_for

ENGINE = """
[engines.{name}]
model = "{model}"
served_model_name = "{name}"
executable = "{program}"
port = {port}
unready_s = 0
max_model_len = 512
flags = {{ enforce-eager = true }}
{more}

[engines.{name}.env]
VLLM_SERVER_DEV_MODE = "1"
VLLM_CPU_KVCACHE_SPACE = "1"
HF_HUB_OFFLINE = "1"
VLLM_NO_USAGE_STATS = "1"
"""
QUESTIONS: tuple[tuple[str, str, dict[str, Any] | None], ...] = (
    ("GET", "/is_sleeping", None),
    ("POST", "/sleep?level=1&mode=wait", None),
    ("GET", "/is_sleeping", None),
    ("POST", "/wake_up", None),
    ("GET", "/is_sleeping", None),
    ("POST", "/sleep?level=2&mode=wait", None),
    ("POST", "/wake_up?tags=weights", None),
    ("GET", "/is_sleeping", None),
    ("POST", "/collective_rpc", {"method": "reload_weights"}),
    ("POST", "/wake_up?tags=kv_cache", None),
    ("GET", "/is_sleeping", None),
    ("POST", "/sleep?level=0", None),
    ("GET", "/is_sleeping", None),
    ("POST", "/wake_up?tags=scheduling", None),
    ("GET", "/is_sleeping", None),
)
"""What vllmd asks, in the order of two sleeps, and what else changes it."""
REFUSED = ("/sleep?level=3", "/sleep?level=x", "/sleep?mode=now")


@contextmanager
def engine(folder: Path, program: str, model: str, more: str = "") -> Iterator[Site]:
    folder.mkdir(exist_ok=True)
    exporter, api = free_port(), free_port()
    text = DAEMON.format(folder=folder, exporter=exporter) + "poll_s = 0.5\n"
    text += ENGINE.format(name="tiny", program=program, model=model, port=api, more=more)
    with site(folder, text, exporter_port=exporter, api_port=api) as made:
        yield made


def answers(made: Site) -> list[tuple[str, int, Any]]:
    found = []
    for method, path, body in QUESTIONS:
        answer = httpx.request(method, f"{made.api}{path}", json=body, timeout=60)
        found.append((path, answer.status_code, answer.json()))
    for path in REFUSED:
        found.append((path, httpx.post(f"{made.api}{path}", timeout=60).status_code, None))
    return found


def shown(made: Site) -> dict[str, float]:
    page = httpx.get(f"{made.api}/metrics").text
    lines = [line for line in page.splitlines() if line.startswith("vllm:engine_sleep_state{")]
    return {line.split('sleep_state="')[1].split('"')[0]: float(line.split()[-1]) for line in lines}


def test_stand_in_answers_as_the_real_one(tmp_path: Path) -> None:
    program, folder = program_and_model()
    with engine(tmp_path / "demo", "stand-in", "m") as stand_in:
        stand_in.wait_state("tiny", "ready", 60)
        expected = answers(stand_in)
    with engine(tmp_path / "real", str(program), f"{folder}/model") as real:
        real.wait_state("tiny", "ready", LOAD_S)
        assert answers(real) == expected
        states = []
        for path in ("/sleep?level=1", "/wake_up", "/sleep?level=2", "/wake_up", "/sleep?level=0"):
            httpx.post(f"{real.api}{path}", timeout=60)
            states.append(shown(real))
        assert [list(each.values()) for each in states] == [
            [0, 1, 0],
            [1, 0, 0],
            [0, 0, 1],
            [1, 0, 0],
            [0, 0, 0],
        ]
        _sleeps_and_is_woken(real)


def _sleeps_and_is_woken(real: Site) -> None:
    """See what vllmd makes of an engine that somebody else puts to sleep, and wake it."""
    httpx.post(f"{real.api}/wake_up", timeout=60)
    real.wait_state("tiny", "ready", 30)
    httpx.post(f"{real.api}/sleep?level=1&mode=wait", timeout=60)
    real.wait_state("tiny", "sleeping", 30)
    assert real.engine("tiny")["sleep"]["by"] == "another client"
    before = real.engine("tiny")["run_id"]
    time.sleep(5)
    assert real.engine("tiny")["run_id"] == before
    done = real.vllmd("wake", "tiny", "--timeout", "60")
    assert done.returncode == 0, done.stderr
    answer = real.client().completions.create(model="tiny", prompt="a", max_tokens=2)
    assert answer.choices[0].text is not None


def test_cpu_build_refuses_sleep_mode_and_the_reason_is_told(tmp_path: Path) -> None:
    program, folder = program_and_model()
    with engine(tmp_path, str(program), f"{folder}/model", "sleep = { level = 1 }") as made:
        held = wait_for("held", lambda: made.engine("tiny")["state"] == "held", LOAD_S)
        assert held
        said = " ".join(made.vllmd("why", "tiny").stdout.split())
        assert "Sleep mode is not supported on current platform" in said
