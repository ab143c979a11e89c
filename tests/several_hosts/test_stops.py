"""What `systemctl stop` does on one host of a group, and how the others take it: the stand-in.

Under systemd the daemon ends first and leaves its engines, and then each engine's shim is asked to
end (`PartOf=`, `Before=` of the units). In a container the daemon ends its engines itself.
"""

import os
import signal
import time
from collections.abc import Iterator

import pytest

from tests.helpers.hosts import Host, Hosts, hosts
from tests.several_hosts.conftest import Fault

MODES = ("tensor", "data")


@pytest.fixture(scope="module", params=MODES)
def made(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Hosts]:
    more = "flags.tensor-parallel-size = 2" if request.param == "tensor" else ""
    with hosts(tmp_path_factory.mktemp(request.param), 2, request.param, more=more) as each:
        each.serve()
        yield each


def failures(host: Host) -> int:
    return int(host.engine["restarts"])


def test_systemctl_stop_of_an_engines_unit_on_a_member_restarts_the_group(made: Hosts) -> None:
    """The daemon there is up: the end was asked for, and is no failure of the group."""
    before, counted = made.generation, failures(made.head)
    os.kill(made.members[0].engine["shim_pid"], signal.SIGTERM)
    made.serve(after=before)
    assert made.head.ask() == 200
    assert failures(made.head) == counted


def test_systemctl_stop_on_a_member_turns_the_head_red_and_start_brings_it_back(
    made: Hosts, noted: Fault
) -> None:
    member, before = made.members[0], made.generation
    shim_pid = member.engine["shim_pid"]
    member.site.kill_daemon()
    time.sleep(3)
    assert not made.head.is_red, "a daemon alone may end"
    with noted(made, "`systemctl stop` on a member, until the head is red"):
        os.kill(shim_pid, signal.SIGTERM)
        made.wait("the head is red", lambda: made.head.is_red, 20)
    made.wait("the head waits", lambda: made.head.state == "waiting", 60)
    assert member.address in str(made.head.engine["problem"])
    member.site.start()
    made.serve(after=before)
    assert made.head.ask() == 200


def test_the_end_of_a_container_on_a_member_drains_the_head_first(made: Hosts) -> None:
    member, before = made.members[0], made.generation
    asked = made.head.begin(30)
    time.sleep(0.3)
    member.site.stop(signal.SIGTERM)
    out, _ = asked.communicate(timeout=60)
    assert out == "200"
    made.wait("the head waits", lambda: made.head.state == "waiting", 60)
    member.site.start()
    made.serve(after=before)


def test_the_end_of_a_container_on_the_head_has_the_member_wait(made: Hosts) -> None:
    before = made.generation
    asked = made.head.begin(30)
    time.sleep(0.3)
    made.head.site.stop(signal.SIGTERM)
    out, _ = asked.communicate(timeout=60)
    assert out == "200"
    made.wait("the member waits", lambda: made.members[0].state == "waiting", 60)
    made.head.site.start()
    made.serve(after=before)


def test_systemctl_stop_on_the_head_has_the_member_wait(made: Hosts) -> None:
    before, shim_pid = made.generation, made.head.engine["shim_pid"]
    made.head.site.kill_daemon()
    os.kill(shim_pid, signal.SIGTERM)
    made.wait("the member waits", lambda: made.members[0].state == "waiting", 60)
    made.head.site.start()
    made.serve(after=before)


def test_restart_on_a_member_that_the_head_refuses_is_said_at_once(made: Hosts) -> None:
    """The head's configuration is broken: what serves there would not start again."""
    head, member = made.head.site, made.members[0].site
    before, text, under = made.generation, head.config.read_text(), head.under
    state = f"STATE_DIRECTORY={head.folder}/state"
    head.under = (*under, "env", state, "sh", "-c", 'exec "$@" --service', "sh")

    def begin(text: str) -> None:
        head.kill_daemon()
        head.config.write_text(text)
        head.start()
        made.serve(120)

    begin(text)  # this one is kept, for when it cannot be read
    begin(text.replace('mode = "', 'mode = "no-'))
    try:
        began = time.monotonic()
        done = member.vllmd("restart", "big", "--wait", "--timeout", "100")
        took_s = time.monotonic() - began
        assert done.returncode == 65, done.stderr
        assert f"the head, {made.head.address}, refuses the restart: big runs" in done.stderr
        assert took_s < 30
        made.serve(60)
        assert made.generation == before
        assert made.head.ask() == 200
    finally:
        head.under = under
        begin(text)
    assert member.vllmd("restart", "big", "--wait", "--timeout", "100").returncode == 0
    assert made.generation != before
