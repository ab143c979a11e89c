import socket
from pathlib import Path

import httpx
import pytest

from tests.helpers.clock import FakeClock
from tests.helpers.make import config
from vllmd.config import command
from vllmd.config.model import Config, EngineConfig
from vllmd.engine.answers import Answers
from vllmd.errors import UnknownEngineError, VllmdError
from vllmd.probe.prober import EngineView, GpuSight
from vllmd.probe.service import ProbeService
from vllmd.util.disk_thread import at_once

TWO = (
    '[engines.chat]\nmodel = "m"\n[engines.chat.probe]\n[engines.other]\nmodel = "n"\nport = 8001\n'
)


class Case:
    def __init__(self, folder: Path) -> None:
        self.folder, self.answers = folder, Answers()
        self.service = ProbeService(
            *self.read(TWO), self._view, httpx.AsyncClient(), FakeClock(), at_once
        )

    def read(self, text: str) -> tuple[Config, command.Commands]:
        found = config(f'[daemon]\nstate_dir = "{self.folder}"\n{text}')
        return found, command.build_all(found)

    def _view(self, _: EngineConfig) -> EngineView:
        return EngineView(
            lambda: None, lambda: self.answers, GpuSight, lambda: None, lambda *_: None
        )


@pytest.fixture
def case(tmp_path: Path) -> Case:
    return Case(tmp_path)


def test_engines_with_the_table_are_looked_at(case: Case) -> None:
    assert [part.name for part in case.service.parts()] == ["probe:chat"]
    assert list(case.service.figures()) == ["chat"]
    assert case.service.shown("other") is None
    shown = case.service.shown("chat")
    assert shown is not None
    assert shown["verdict"] == "unknown"


async def test_engine_without_the_table_is_told_how_to_get_one(case: Case) -> None:
    with pytest.raises(VllmdError, match=r"add a table \[engines.other.probe\]"):
        await case.service.ask("other")
    with pytest.raises(UnknownEngineError):
        await case.service.ask("nobody")


def test_reload_keeps_the_prober(case: Case) -> None:
    before = case.service.parts()
    case.service.configure(*case.read(TWO + "[engines.chat.sleep]\n"))
    assert case.service.parts() == before


def test_table_that_is_taken_out_lets_requests_come(case: Case) -> None:
    case.answers.withhold("far")
    case.service.configure(*case.read('[engines.chat]\nmodel = "m"\n'))
    assert case.answers.wrong is None
    assert case.service.parts() == []


async def test_member_of_a_group_has_no_api_and_is_not_asked(case: Case) -> None:
    hosts = f'hosts = ["198.51.100.1", "{socket.gethostname()}"]'
    group = f'group = {{ {hosts}, mode = "data" }}'
    case.service.configure(
        *case.read(f'[engines.big]\nmodel = "m"\n{group}\n[engines.big.probe]\n')
    )
    assert case.service.parts() == []
    with pytest.raises(VllmdError, match="on its group's head"):
        await case.service.ask("big")
