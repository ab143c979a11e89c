"""One model over two hosts by a real vLLM (CPU build), each host a network namespace.

What is checked is order, causes and recovery: on two cores a start takes minutes.
"""

import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.helpers.hosts import API, Host, Hosts, hosts
from tests.helpers.real import program_and_model
from tests.several_hosts.conftest import Fault

START_S = 900.0
ENGINE = """
[engines.big]
executable = "{{program}}"
model = "{{model}}/model"
served_model_name = "tiny"
host = "0.0.0.0"
max_model_len = 512
max_num_seqs = 4
unready_s = 0.5
drain_s = 2
stop_grace_s = 20
restart = {{ initial_s = 0.5, max_s = 1 }}
liveness = {{ stall_s = 30, hang_s = 60 }}

[engines.big.env]
HF_HUB_OFFLINE = "1"
VLLM_NO_USAGE_STATS = "1"
VLLM_CPU_KVCACHE_SPACE = "1"
OMP_NUM_THREADS = "1"

[engines.big.flags]
enforce-eager = true
{more}

[engines.big.group]
hosts = [{hosts}]
mode = "{mode}"
interface = "eth0"
"""


def real(folder: Path, mode: str) -> "Iterator[Hosts]":
    program, model = program_and_model()
    engine = ENGINE.replace("{{program}}", str(program)).replace("{{model}}", str(model))
    more = "tensor-parallel-size = 2" if mode == "tensor" else "api-server-count = 1"
    with hosts(folder, 2, mode, engine=engine, more=more) as made:
        made.serve(START_S)
        yield made


@pytest.fixture(scope="module", params=["tensor", "data"])
def made(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Hosts]:
    """Two hosts that serve one model."""
    yield from real(tmp_path_factory.mktemp(request.param), request.param)


def _told(host: Host) -> str:
    """What the head says while a rank hangs, and after it was ended for that."""
    engine = host.engine
    return str([engine["group"]["doubt"], engine["problem"], engine["last_exit"]])


def test_group_serves_and_a_member_is_ready_without_an_api(made: Hosts) -> None:
    assert made.head.ask(60) == 200
    assert made.members[0].get("/ready/big")[0] == 200
    assert made.members[0].get("/-/ready")[0] == 200
    assert made.members[0].page()["role"] == "member"


def test_member_that_dies_ends_the_generation_and_is_the_cause_everywhere(
    made: Hosts, noted: Fault
) -> None:
    before, member = made.generation, made.members[0]
    with noted(made, "a member's main process is killed"):
        os.kill(member.engine["pid"], 9)
        made.serve(START_S, after=before)
    assert made.head.ask(60) == 200
    for host in made.all:
        assert member.address in host.site.vllmd("why", "big").stdout


@pytest.mark.parametrize("made", ["data"], indirect=True)
def test_rank_that_hangs_is_found_behind_a_green_head(made: Hosts, noted: Fault) -> None:
    """`/health` says yes, while what the rank gets is not answered.

    There is no GPU whose idleness would tell it from one that is busy, so it takes `hang_s`. The
    page shows no request on it, or, if it worked on vllmd's own question when it was stopped, two
    that never end: then it is its steps that are missed.
    """
    before, member = made.generation, made.members[0]
    assert [made.head.ask(60, x_data_parallel_rank=str(rank)) for rank in (0, 1)] == [200, 200]
    assert "rank 1" not in _told(made.head)
    with noted(made, "a rank hangs"):
        for pid in member.processes("EngineCore_DP1"):
            os.kill(pid, signal.SIGSTOP)
        assert made.head.ask(10, x_data_parallel_rank="1") == 0
        assert made.head.get("/health", API)[0] == 200
        assert made.head.ask(60, x_data_parallel_rank="0") == 200
        made.wait("it is told", lambda: "rank 1" in _told(made.head), 90)
        made.serve(START_S, after=before)
    assert made.head.ask(60, x_data_parallel_rank="1") == 200
    why = made.head.site.vllmd("why", "big").stdout
    assert f"rank 1 on {member.address} does nothing" in why or "requests (rank 1)" in why


def test_rank_that_is_killed_ends_the_generation(made: Hosts, noted: Fault) -> None:
    """vLLM's main process on that host ends with it, with code 0 and without a word."""
    before, member = made.generation, made.members[0]
    with noted(made, "a member's rank is killed"):
        member.kill_process("VLLM::EngineCore" if made.mode == "data" else "VLLM::Worker")
        made.wait("the head is red", lambda: made.head.is_red, 60)
        made.serve(START_S, after=before)
    assert made.head.ask(60) == 200
    for host in made.all:
        assert member.address in host.site.vllmd("why", "big").stdout


def test_head_that_dies_takes_the_member_along(made: Hosts, noted: Fault) -> None:
    before = made.generation
    with noted(made, "the head's main process is killed"):
        os.kill(made.head.engine["pid"], 9)
        made.serve(START_S, after=before)
    assert made.head.ask(60) == 200


def test_link_that_is_down_for_forty_seconds_ends_nothing(made: Hosts) -> None:
    before = made.generation
    made.members[0].cable(plugged=False)
    time.sleep(40)
    made.members[0].cable(plugged=True)
    made.serve(120)
    assert made.generation == before
    assert made.head.ask(60) == 200


def test_restart_on_a_member_is_one_of_the_group(made: Hosts, noted: Fault) -> None:
    before = made.generation
    with noted(made, "`vllmd restart` on a member"):
        made.members[0].act("restart")
        made.serve(START_S, after=before)
    assert made.head.ask(60) == 200


def test_stop_on_a_member_drains_the_group_and_start_brings_it_back(made: Hosts) -> None:
    member = made.members[0]
    member.act("stop")
    made.wait("both have ended", lambda: made.states() == ["waiting", "stopped"], 120)
    member.act("start")
    made.serve(START_S)
    assert made.head.ask(60) == 200
