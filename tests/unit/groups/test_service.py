import asyncio
import contextlib
import errno
import shutil
import socket
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest

from tests.helpers.clock import FakeClock
from tests.helpers.grouped import OwnOfATest
from tests.helpers.make import config
from vllmd.config import command
from vllmd.config.group import ThisHost, common_hash
from vllmd.config.model import Config
from vllmd.engine.causes.base import Diagnosis, Kind
from vllmd.engine.restart.policy import Hold
from vllmd.fleet.pages import HostPages, PageAccess
from vllmd.groups.page import GroupPage
from vllmd.groups.part import GroupPart
from vllmd.groups.service import AGAIN_S, NOT_TOLD, GroupsService
from vllmd.util.loop_lag import LoopLag

OWN = socket.gethostname()
GROUP = f"""
[engines.alone]
model = "m"
port = 8001

[engines.big]
model = "m"
group = {{ hosts = ["198.51.100.1", "{OWN}"], mode = "data" }}
"""


def service(
    read: Config, own: OwnOfATest | None = None, clock: FakeClock | None = None
) -> GroupsService:
    if own is None:
        own = OwnOfATest()
        own.looked.set()
    found, commands, lag = own, command.build_all(read), LoopLag(clock or FakeClock())
    return GroupsService(read, commands, lambda _: found, lag, _masked)


def _masked(text: str) -> str:
    return text.replace("hf_S3CRET", "***")


async def live(clock: FakeClock, seconds: float) -> None:
    """Let time pass; files and sockets answer meanwhile."""
    for _ in range(round(seconds)):
        await clock.advance(1)
        await asyncio.sleep(0.01)


@contextlib.asynccontextmanager
async def following(made: GroupsService) -> AsyncIterator["asyncio.Task[None]"]:
    """Run what follows the one group of a service until the end of the block."""
    (part,) = made.parts()
    task = asyncio.ensure_future(part.run())
    try:
        yield task
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def test_page_is_of_engines_of_several_hosts_only() -> None:
    made = service(config(GROUP))
    page = made.page("big")
    assert page is not None
    assert (page["role"], page["rank"], page["host"]) == ("member", 1, OWN)
    assert made.page("alone") is None
    assert made.page("nobody") is None
    assert made.of("big").is_member
    assert not made.of("alone").is_member


async def test_page_that_another_host_asks_for_shows_that_it_is_there() -> None:
    made = service(config(GROUP))
    asked: list[str] = []
    part = made.of("big")
    assert isinstance(part, GroupPart)
    part.asked_by = asked.append  # type: ignore[method-assign, assignment]
    made.page("big", "198.51.100.1")
    made.page("big")
    assert asked == ["198.51.100.1"]


async def test_page_tells_no_output_no_secret_and_no_problem_that_quotes_something() -> None:
    own = OwnOfATest(run="g-1", problem="/etc/vllmd.toml of hf_S3CRET")
    own.looked.set()
    why = Diagnosis("port_taken", Kind.UNKNOWN, "hf_S3CRET was seen.", "", ("a prompt",))
    own.end("1", 0.0, diagnosis=why)
    page = service(config(GROUP), own).page("big")
    assert page is not None
    assert page["problem"] == NOT_TOLD
    assert page["ended"]["evidence"] == ()
    assert page["ended"]["explanation"] == "*** was seen."
    assert page["ended"]["cause"] == "port_taken"
    own.hold = Hold("port_taken", "The port of hf_S3CRET is taken.", 0.0, None, "hash")
    page = service(config(GROUP), own).page("big")
    assert page is not None
    assert page["problem"] == "The port of *** is taken."


async def test_page_is_empty_until_the_engine_was_looked_for() -> None:
    own = OwnOfATest(is_wanted=False)
    made = service(config(GROUP), own)
    assert made.page("big") == {}
    own.looked.set()
    page = made.page("big")
    assert page
    assert page["wanted"] is False


async def test_configure_what_is_known_of_a_group_stays_if_it_is_the_same() -> None:
    read = config(GROUP)
    made = service(read)
    part, followed = made.of("big"), [each.run for each in made.parts()]
    assert followed
    made.configure(read, command.build_all(read))
    assert made.of("big") is part
    assert [each.run for each in made.parts()] == followed  # how long a rank stood still stays
    other = config(GROUP.replace("198.51.100.1", "198.51.100.2"))
    made.configure(other, command.build_all(other))
    assert made.of("big") is not part
    assert [each.run for each in made.parts()] != followed
    none = config('[engines.big]\nmodel = "m"')
    made.configure(none, command.build_all(none))
    assert made.page("big") is None
    assert list(made.parts()) == []


async def test_address_that_is_away_for_a_moment_ends_no_group(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    read = config(GROUP)
    made = service(read)
    part = made.of("big")
    monkeypatch.setattr(ThisHost, "look", lambda: ThisHost("unknown", {}))
    made.configure(read, command.build_all(read))
    assert made.of("big") is part
    assert made.page("big")


@pytest.mark.parametrize(
    ("change", "same"),
    [
        ("", True),
        ("flags.enforce-eager = true\n", False),
        ("max_model_len = 1000\n", False),
    ],
)
def test_common_hash_is_of_all_but_the_place(change: str, same: bool) -> None:
    head = config(GROUP).engines["big"]
    text = GROUP.replace(f'"198.51.100.1", "{OWN}"', f'"{OWN}", "198.51.100.1"')
    engine = config(f"{text}{change}").engines["big"]

    def hashed(each: object) -> str:
        built = command.build(each, {})  # type: ignore[arg-type]
        return common_hash(each, built.argv, built.own_env)  # type: ignore[arg-type]

    # the head's address is in both commands, at the head's and at the member's place
    assert (hashed(head) == hashed(engine)) is same


class Asked:
    """What is made to ask others with: by which password, and which were closed."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.made: list[str] = []
        self.closed: list[str] = []
        self.right = "old"
        asked = self

        class Pages(HostPages):
            def __init__(self, access: PageAccess) -> None:
                super().__init__(access, transport=httpx.MockTransport(self._answer))
                assert access.login is not None
                self.password = access.login[1]
                asked.made.append(self.password)

            def _answer(self, _: httpx.Request) -> httpx.Response:
                return httpx.Response(200 if self.password == asked.right else 401, json={})

            async def close(self) -> None:
                asked.closed.append(self.password)

        monkeypatch.setattr("vllmd.groups.service.HostPages", Pages)


async def test_a_password_that_was_changed_is_read_after_it_is_refused_and_on_a_reload(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    asked, clock, file = Asked(monkeypatch), FakeClock(), tmp_path / "password"
    file.write_text("old")
    read = config(f'[fleet]\nuser = "u"\npassword_file = "{file}"\n{GROUP}')
    made = service(read, clock=clock)
    part = made.of("big")
    assert isinstance(part, GroupPart)
    monkeypatch.setattr(part, "decide", lambda: None)
    async with following(made):
        await live(clock, 5)
        assert asked.made == ["old"]
        file.write_text("new")
        asked.right = "new"
        await live(clock, AGAIN_S + 10)
        assert asked.made == ["old", "new"]
        assert asked.closed == ["old"]
        asked.right = "newer"
        file.write_text("newer")
        made.configure(read, command.build_all(read))
        await live(clock, 6)
        assert asked.made == ["old", "new", "newer"]
        file.unlink()
        made.configure(read, command.build_all(read))
        await live(clock, 6)
        assert asked.closed == ["old", "new"]  # what was read before may be right still


async def test_two_that_ask_at_once_share_one_client(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    asked, file = Asked(monkeypatch), tmp_path / "password"
    file.write_text("old")
    made = service(config(f'[fleet]\nuser = "u"\npassword_file = "{file}"\n{GROUP}'))
    (one, _), (other, _) = await asyncio.gather(made._ask(), made._ask())
    assert one is other
    assert asked.made == ["old"]
    await made.close()
    assert asked.closed == ["old"]


def _environment(folder: Path, version: str) -> Path:
    (folder / "lib/python3.12/site-packages" / f"vllm-{version}.dist-info").mkdir(parents=True)
    program = folder / "bin" / "vllm"
    program.parent.mkdir(exist_ok=True)
    program.touch(0o755)
    return program


async def test_which_vllm_is_there_is_read_for_each_program_and_each_run(tmp_path: Path) -> None:
    """`vllmd engine install` has another program taken; one may be replaced where it is, too."""
    old = _environment(tmp_path / "old", "0.32.0")
    new = _environment(tmp_path / "new", "0.33.0")
    clock, own = FakeClock(), OwnOfATest()

    def read(program: Path) -> Config:
        return config(f'{GROUP}executable = "{program}"\n')

    made = service(read(old), own, clock)
    part = made.of("big")
    assert isinstance(part, GroupPart)

    async def version() -> str | None:
        await live(clock, 8)
        return part.status().vllm

    async with following(made):
        assert await version() == "0.32.0"
        assert part.status().size == 2
        made.configure(read(new), command.build_all(read(new)))
        assert part.status().vllm is None
        assert await version() == "0.33.0"
        shutil.rmtree(tmp_path / "new")
        _environment(tmp_path / "new", "0.34.0")
        assert await version() == "0.33.0"  # what runs, if something does
        own.serve("g-1")
        assert await version() == "0.34.0"


async def test_a_disk_that_hangs_keeps_no_host_from_hearing_the_others(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    async def hangs(*_: object) -> None:
        raise TimeoutError("no answer within 5 s: does its file system hang?")

    asked, clock, own = Asked(monkeypatch), FakeClock(), OwnOfATest()
    file = tmp_path / "password"
    file.write_text("old")
    monkeypatch.setattr("vllmd.groups.service.run_within", hangs)
    made = service(config(f'[fleet]\nuser = "u"\npassword_file = "{file}"\n{GROUP}'), own, clock)
    async with following(made) as task:
        for run in (None, "g-1"):
            own.run = run
            await live(clock, 8)
        assert asked.made == ["old"]
        assert not task.done(), task.exception()


async def test_connection_to_an_address_of_this_host_is_to_no_other_host(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    clock, own = FakeClock(), OwnOfATest(run="g-1")
    own.looked.set()
    bridge = "172.17.0.1"
    there = {bridge}
    addresses = {"eth0": ("198.51.100.2",), "docker0": (bridge,)}
    made = service(config(GROUP), own, clock)
    monkeypatch.setattr(ThisHost, "look", lambda: ThisHost(OWN, addresses))
    monkeypatch.setattr("vllmd.groups.service.connected_addresses", lambda *_: frozenset(there))
    part = made.of("big")
    assert isinstance(part, GroupPart)
    (head,) = part.peers.values()
    told = GroupPage("198.51.100.1", 0, "g", runs=True, addresses=("198.51.100.1", bridge))
    monkeypatch.setattr(head, "ask", _nobody)
    async with following(made):
        for more, connected in ((bridge, False), ("198.51.100.1", True)):
            there.add(more)
            head.page = told
            await live(clock, 8)
            assert head.is_connected is connected


async def test_no_descriptor_to_list_addresses_keeps_no_host_from_hearing_the_others(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def exhausted() -> ThisHost:
        raise OSError(errno.EMFILE, "Too many open files")

    clock, own = FakeClock(), OwnOfATest(run="g-1")
    own.looked.set()
    made = service(config(GROUP), own, clock)
    part = made.of("big")
    assert isinstance(part, GroupPart)
    (head,) = part.peers.values()
    head.page = GroupPage("198.51.100.1", 0, "g", runs=True, addresses=("198.51.100.1",))
    monkeypatch.setattr(head, "ask", _nobody)
    monkeypatch.setattr(ThisHost, "look", exhausted)
    monkeypatch.setattr("vllmd.groups.service.connected_addresses", lambda *_: frozenset())
    async with following(made) as task:
        await live(clock, 8)
        assert not task.done(), task.exception()
        assert head.known().unconnected_s == 0, "what could not be looked at may be there"


async def _nobody(*_: object) -> None:
    pass
