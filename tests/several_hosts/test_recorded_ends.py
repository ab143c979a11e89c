"""Ends that were recorded of real groups, played on a running one: which cause is told, and where.

The lines are those of `tests/data`; code and place are as they were seen, vLLM 0.32.
"""

import json
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.helpers.hosts import ENGINE, Hosts, hosts

HELPER = Path(__file__).parents[1] / "helpers" / "failing_engine.py"
DATA = Path(__file__).parents[1] / "data"
RECORDED = {
    "peer_lost": "engine-logs/cpu-0.32-group-head-peer-lost.log",
    "member_ended": "engine-logs/cpu-0.32-group-member-core-killed.log",
}
"""Causes of which there is more than a line."""
EXECUTABLE = f'executable = ["{sys.executable}", "{HELPER}", "{{faults}}/{{rank}}"]'
HEAD, MEMBER = 0, 1


@pytest.fixture(scope="module")
def faults(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("faults")
    for rank in range(2):
        (folder / str(rank)).mkdir()
    return folder


@pytest.fixture(scope="module")
def made(faults: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Hosts]:
    engine = ENGINE.replace('executable = "stand-in"', EXECUTABLE.replace("{faults}", str(faults)))
    assert "{rank}" in engine
    with hosts(tmp_path_factory.mktemp("h"), 2, "data", engine=engine) as each:
        each.serve()
        yield each


@pytest.mark.parametrize(
    ("cause", "place", "when", "code"),
    [
        ("coordinator_timeout", HEAD, "start", 1),
        ("head_rejects_member", HEAD, "start", 1),
        ("zmq_port_in_use", HEAD, "start", 1),
        ("peer_lost", HEAD, "later", 0),
        ("handshake_timeout", MEMBER, "start", 0),
        ("rendezvous_timeout", MEMBER, "start", 1),
        ("member_ended", MEMBER, "later", 0),
        ("gloo_loopback", MEMBER, "start", 1),
    ],
)
def test_a_recorded_end_is_the_cause_on_all_hosts_and_the_group_serves_again(
    made: Hosts, faults: Path, cause: str, place: int, when: str, code: int
) -> None:
    before, failed = made.generation, made.all[place]
    lines = (DATA / RECORDED.get(cause, f"causes/{cause}.log")).read_text()
    (faults / str(place) / when).write_text(f"{code}\n{lines}")
    if when == "start":
        made.head.act("restart")
    made.wait("it is played", lambda: not (faults / str(place) / when).exists(), 60)
    made.serve(after=before)
    assert made.head.ask() == 200
    for host in made.all:
        why = json.loads(host.site.vllmd("why", "big", "--json").stdout)
        assert cause in json.dumps(why), why
        assert host is failed or failed.address in json.dumps(why), why
        assert host.engine["group"]["failed_host"] == failed.address
