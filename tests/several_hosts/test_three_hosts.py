"""One model over three hosts by the stand-in: the faults of hosts, daemons, engines and cables."""

import os
import signal
import time
from collections.abc import Callable, Iterator

import pytest

from tests.helpers.hosts import Hosts, hosts
from tests.several_hosts.conftest import Fault

LIVENESS = "liveness = { stall_s = 3, hang_s = 40 }"


@pytest.fixture(scope="module", params=["tensor", "data"])
def made(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Hosts]:
    more = "flags.tensor-parallel-size = 3\n" if request.param == "tensor" else ""
    folder = tmp_path_factory.mktemp(request.param)
    with hosts(folder, 3, request.param, more=more + LIVENESS) as each:
        each.serve(120)
        yield each


def a_member_is_killed(made: Hosts) -> None:
    os.kill(made.members[1].engine["pid"], signal.SIGKILL)


def a_process_of_a_member_is_killed(made: Hosts) -> None:
    made.members[0].kill_process("VLLM::EngineCore")


def the_head_is_killed(made: Hosts) -> None:
    os.kill(made.head.engine["pid"], signal.SIGKILL)


def both_members_are_killed(made: Hosts) -> None:
    for pid in [member.engine["pid"] for member in made.members]:
        os.kill(pid, signal.SIGKILL)


def all_are_killed(made: Hosts) -> None:
    for pid in [host.engine["pid"] for host in made.all]:
        os.kill(pid, signal.SIGKILL)


def the_shim_of_a_member_is_killed(made: Hosts) -> None:
    os.kill(made.members[1].engine["shim_pid"], signal.SIGKILL)


def a_member_is_killed_while_the_head_is_restarted(made: Hosts) -> None:
    pid = made.members[0].engine["pid"]
    made.head.act("restart")
    os.kill(pid, signal.SIGKILL)


def a_member_is_killed_while_all_load(made: Hosts) -> None:
    made.head.act("restart")
    made.wait("it loads", lambda: made.members[1].state == "loading", 60)
    os.kill(made.members[1].engine["pid"], signal.SIGKILL)


def a_restart_on_each_host_at_once(made: Hosts) -> None:
    for host in made.all:
        host.act("restart")


@pytest.mark.parametrize(
    "fault",
    [
        *(
            a_member_is_killed,
            a_process_of_a_member_is_killed,
            the_head_is_killed,
            both_members_are_killed,
            all_are_killed,
            the_shim_of_a_member_is_killed,
        ),
        *(
            a_member_is_killed_while_the_head_is_restarted,
            a_member_is_killed_while_all_load,
            a_restart_on_each_host_at_once,
        ),
    ],
    ids=lambda each: each.__name__,
)
def test_all_serve_again_as_one_generation(
    made: Hosts, fault: Callable[[Hosts], None], noted: Fault
) -> None:
    before = made.generation
    with noted(made, fault.__name__.replace("_", " ")):
        fault(made)
        made.serve(120, after=before)
    assert made.head.ask() == 200


def test_daemons_that_die_end_nothing(made: Hosts) -> None:
    before = made.generation
    for host in made.all:
        host.site.kill_daemon()
    assert made.head.ask() == 200
    time.sleep(5)
    for host in reversed(made.all):
        host.site.start()
    made.serve(120)
    assert made.generation == before


def test_a_cable_that_is_out_for_a_while_ends_nothing_and_turns_the_head_red(made: Hosts) -> None:
    before, member = made.generation, made.members[1]
    member.cable(plugged=False)
    made.wait("the head is red", lambda: made.head.is_red, 30)
    time.sleep(5)
    member.cable(plugged=True)
    made.serve(60)
    assert made.generation == before
    assert made.head.ask() == 200


def test_a_member_that_is_cut_off_for_good_is_given_up_and_comes_back(made: Hosts) -> None:
    before, member = made.generation, made.members[0]
    member.cable(plugged=False)
    made.wait("the head has ended", lambda: made.head.state == "waiting", 120)
    assert made.members[1].state != "ready"
    member.cable(plugged=True)
    made.serve(120, after=before)
    assert made.head.ask() == 200


def test_a_host_that_goes_with_all_it_has_is_waited_for(made: Hosts) -> None:
    before, member = made.generation, made.members[1]
    member.site.kill_daemon()
    for pid in member.all_processes():
        os.kill(pid, signal.SIGKILL)
    made.wait("the head waits", lambda: made.head.state == "waiting", 90)
    assert member.address in str(made.head.engine["problem"])
    member.site.start()
    made.serve(120, after=before)


def test_a_stop_on_one_member_is_of_all_and_so_is_the_start(made: Hosts) -> None:
    before = made.generation
    made.members[1].act("stop")
    made.wait("all ended", lambda: made.states() == ["waiting", "waiting", "stopped"], 90)
    made.members[1].act("start")
    made.serve(120, after=before)
    assert made.head.ask() == 200
