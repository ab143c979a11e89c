"""A group whose pages have TLS and passwords, and what follows when they cannot be read."""

import shutil
import time
from collections.abc import Iterator

import pytest

from tests.helpers.hosts import Host, Hosts, hosts
from tests.helpers.web import CERTIFICATES, PASSWORD, USERS

HANG_S = 8
LIVENESS = f"liveness = {{ stall_s = 3, hang_s = {HANG_S}, gpu_stall_s = 0 }}"


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Hosts]:
    folder, more = tmp_path_factory.mktemp("web"), f"flags.tensor-parallel-size = 2\n{LIVENESS}"
    with hosts(folder, 2, "tensor", more=more, web=True) as each:
        each.serve()
        yield each


def certificate(host: Host, name: str) -> None:
    """Give its pages another certificate."""
    for end in ("key", "pem"):
        shutil.copyfile(CERTIFICATES / f"{name}.{end}", host.site.folder / "web" / f"hosts.{end}")


def unreadable(asks: Host, other: Host) -> bool:
    return bool(asks.engine["group"]["hosts"][other.address] == "unreadable")


def goes_on(made: Hosts, before: str) -> None:
    """Be longer than a host that is cut off has, and see that nothing was ended nor turned red."""
    until = time.monotonic() + 2 * HANG_S
    while time.monotonic() < until:
        assert made.states() == ["ready", "ready"]
        assert not made.head.is_red
        time.sleep(1)
    assert made.generation == before
    assert made.head.ask() == 200


def test_pages_are_read_by_tls_and_password_only(made: Hosts) -> None:
    head = made.head
    assert made.head.ask() == 200
    assert made.members[0].get("/ready/big")[0] == 200
    url = f"https://{made.members[0].address}:9840/groups/big"
    code = ("curl", "-sk", "-m", "5", "-o", "/dev/null", "-w", "%{http_code}")
    assert head.run(*code, url).stdout == "401"
    assert head.run(*code, "-u", f"prometheus:{PASSWORD}", url).stdout == "200"


@pytest.mark.parametrize("whose", ["head", "member"])
def test_a_certificate_that_expires_ends_nothing_and_is_told(made: Hosts, whose: str) -> None:
    host = made.head if whose == "head" else made.members[0]
    other = made.members[0] if whose == "head" else made.head
    before = made.generation
    certificate(host, "expired")
    made.wait("it is seen", lambda: unreadable(other, host), 40)
    goes_on(made, before)
    assert "certificate is not trusted" in str(other.reason)
    assert host.address in str(other.reason)
    _, page = other.get("/metrics")
    if whose == "member":
        assert 'vllmd_group_members{state="unreadable",vllmd_engine="big"} 1.0' in page
    made.wait("there is an event", lambda: "group.host_silent" in other.site.log(), 60)
    certificate(host, "hosts")
    made.wait("it is read again", lambda: not unreadable(other, host), 40)
    assert made.generation == before


def test_a_password_that_changes_on_one_host_ends_nothing(made: Hosts) -> None:
    member, before = made.members[0], made.generation
    web = member.site.folder / "web" / "web.yml"
    text = web.read_text()
    web.write_text(text.replace(USERS, USERS.replace("prometheus:", "somebody:")))
    made.wait("it is seen", lambda: unreadable(made.head, member), 40)
    goes_on(made, before)
    assert "fleet.password_file" in str(made.head.reason)
    web.write_text(text)
    made.wait("it is read again", lambda: not unreadable(made.head, member), 40)
    assert made.generation == before


def test_a_host_whose_own_network_is_down_ends_nothing(made: Hosts) -> None:
    """Nobody reaches it then, and it reaches nobody: that is no news of the others."""
    before, head = made.generation, made.head
    assert head.run("ip", "link", "set", "eth0", "down").returncode == 0
    time.sleep(2 * HANG_S)
    assert made.states() == ["ready", "ready"]
    assert head.run("ip", "link", "set", "eth0", "up").returncode == 0
    made.serve(60)
    assert made.generation == before


def test_a_member_that_dies_behind_a_page_that_cannot_be_read_ends_the_generation(
    made: Hosts,
) -> None:
    """Its connections are gone, and the host is there: no word of it is needed."""
    member, before = made.members[0], made.generation
    certificate(member, "expired")
    made.wait("it is seen", lambda: unreadable(made.head, member), 40)
    member.kill_process("VLLM::EngineCore")
    made.wait("the head has ended", lambda: made.head.state != "ready", 60)
    certificate(member, "hosts")
    made.serve(after=before)
    assert made.head.ask() == 200
