"""Two data parallel ranks of a real vLLM behind one API server, on one host."""

import json
import os
import signal
import time
from collections.abc import Iterator

import httpx
import pytest

from tests.engine.conftest import LOAD_S, REPORT
from tests.helpers.outcomes import Outcome
from tests.helpers.ports import free_port
from tests.helpers.real import program_and_model
from tests.helpers.site import Site, gone, site, wait_for
from vllmd.demo.real import config_text

HANG_S = 50
SAID = "rank 1 does nothing: a request for one token to it was not answered for"


@pytest.fixture(scope="module")
def two(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """A site whose engine `tiny` has two ranks; no GPU tells one that rests from one that works."""
    program, model = program_and_model()
    folder = tmp_path_factory.mktemp("ranks")
    exporter, api = free_port(), free_port()
    text = config_text(folder, program, model, port=api, exporter_port=exporter)
    start, end = text.index("[engines.tiny.lora]"), text.index("[engines.tiny.flags]")
    text = text[:start] + text[end:]
    text = text.replace("enforce-eager = true", "enforce-eager = true\ndata-parallel-size = 2")
    text += f"""
OMP_NUM_THREADS = "1"

[engines.tiny.liveness]
stall_s = 20
hang_s = {HANG_S}
"""
    with site(folder, text, exporter_port=exporter, api_port=api) as made:
        made.wait_state("tiny", "ready", LOAD_S)
        yield made


def ask(made: Site, rank: int, limit_s: float) -> int | None:
    """Ask a rank for a token; return the code, None if nothing came in time."""
    try:
        return httpx.post(
            f"{made.api}/v1/completions",
            json={"model": "tiny", "prompt": "1", "max_tokens": 1},
            headers={"X-data-parallel-rank": str(rank)},
            timeout=limit_s,
            trust_env=False,
        ).status_code
    except httpx.TimeoutException:
        return None


def steps(made: Site) -> dict[str, float]:
    page = httpx.get(f"{made.api}/metrics", trust_env=False).text
    found = (line for line in page.splitlines() if line.startswith("vllm:iteration_tokens_total_c"))
    return {line.partition('engine="')[2][:1]: float(line.rpartition(" ")[2]) for line in found}


def test_each_rank_is_asked_makes_one_step_for_it_and_nobody_takes_it_for_traffic(
    two: Site,
) -> None:
    assert [ask(two, rank, 60) for rank in (0, 1, 2)] == [200, 200, 400]
    time.sleep(6)
    before, began = steps(two), time.monotonic()
    time.sleep(60)
    after, took_s = steps(two), time.monotonic() - began
    for rank in ("0", "1"):
        assert took_s / 25 - 1 <= after[rank] - before[rank] <= took_s / 15 + 1
    engine = two.engine("tiny")
    assert (engine["state"], engine["requests_running"], engine["restarts"]) == ("ready", 0, 0)
    REPORT.append(f"two ranks asked for {took_s:.0f} s: {before} became {after} steps")


def test_rank_that_hangs_is_told_of_within_a_minute_and_replaced(
    two: Site, outcome: Outcome
) -> None:
    before, old = two.engine("tiny"), list(two.tree("tiny").values())
    rank = two.process("tiny", "VLLM::EngineCore_DP1")
    began = time.monotonic()
    os.kill(rank.pid, signal.SIGSTOP)
    assert ask(two, 1, 5) is None
    assert ask(two, 0, 60) == 200
    assert httpx.get(f"{two.api}/health", trust_env=False).status_code == 200
    assert two.engine("tiny")["state"] == "ready"
    wait_for("told", lambda: SAID in str(two.engine("tiny")["rank_doubt"]), 60)
    told_s = time.monotonic() - began
    assert SAID in two.vllmd("status").stdout
    wait_for("red", lambda: two.ready("tiny") == 503, HANG_S + 60)
    red_s = time.monotonic() - began
    after = two.wait_new_run("tiny", before, LOAD_S)
    assert gone(*old)
    assert after["last_exit"]["diagnosis"]["cause"] == "stalled"
    assert SAID in after["last_exit"]["error"]
    newest = sorted((two.folder / "state" / "incidents").iterdir())[-1]
    about = json.loads((newest / "reason.json").read_text())
    states = {each["title"].split(" ")[0]: each["state"] for each in about["processes"]}
    assert states["VLLM::EngineCore_DP1"] == "T"
    assert [ask(two, each, 60) for each in (0, 1)] == [200, 200]
    text = (
        f"/health stays 200 and the page shows no request; told after {told_s:.0f} s, red after "
        f"{red_s:.0f} s (hang_s = {HANG_S}; no GPU is there to tell), looked into, killed, serving "
        f"again after {time.monotonic() - began:.0f} s"
    )
    outcome("one of two data parallel ranks hangs (SIGSTOP)", text)
    REPORT.append(f"rank stopped: {text}")


def test_rank_that_is_killed_ends_the_engine_which_is_started_again(
    two: Site, outcome: Outcome
) -> None:
    before = two.engine("tiny")
    began = time.monotonic()
    os.kill(two.process("tiny", "VLLM::EngineCore_DP1").pid, signal.SIGKILL)
    after = two.wait_new_run("tiny", before, LOAD_S)
    assert after["last_exit"]["requested"] is False
    assert after["last_exit"]["diagnosis"]["cause"] != "unknown"
    assert [ask(two, each, 60) for each in (0, 1)] == [200, 200]
    cause = after["last_exit"]["diagnosis"]["cause"]
    text = f"vLLM ends ({cause}), serving again after {time.monotonic() - began:.0f} s"
    outcome("one of two data parallel ranks is killed", text)
    REPORT.append(f"rank killed: {text}")
