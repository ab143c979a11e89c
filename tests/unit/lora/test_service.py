from pathlib import Path

import httpx
import pytest
from structlog.testing import capture_logs

from tests.helpers.clock import FakeClock
from tests.helpers.make import config, status
from vllmd.config import command
from vllmd.errors import UnknownEngineError, VllmdError
from vllmd.lora.service import LoraService

TWO = """
[daemon]
state_dir = "{folder}"
[engines.chat]
model = "m"
lora = {{ modules = {{ sql = "{folder}/sql" }} }}
[engines.plain]
model = "n"
port = 8001
"""


@pytest.fixture
def adapters(tmp_path: Path) -> LoraService:
    given = config(TWO.format(folder=tmp_path))
    client = httpx.AsyncClient(transport=httpx.MockTransport(lambda _: httpx.Response(500)))
    engines = [status("chat"), status("plain")]
    return LoraService(given, command.build_all(given), lambda: engines, client, FakeClock())


def test_only_engines_with_adapters_have_a_reconciler(adapters: LoraService) -> None:
    assert list(adapters.reconcilers) == ["chat"]
    assert adapters.names("chat") == ("sql",)
    assert adapters.names("plain") == ()
    assert [each.name for each in adapters.figures()["chat"]] == ["sql"]
    assert [each["engine"] for each in adapters.to_json()] == ["chat"]


def test_reconciler_of_another_engine_says_what_to_do(adapters: LoraService) -> None:
    assert adapters.reconciler("chat").engine == "chat"
    with pytest.raises(UnknownEngineError, match="there is: chat, plain"):
        adapters.reconciler("other")
    with pytest.raises(VllmdError, match=r"add a table \[engines.plain.lora\]"):
        adapters.reconciler("plain")


async def test_a_mistake_in_a_reconciler_keeps_no_engine_from_serving(
    adapters: LoraService, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def broken() -> bool:
        raise RuntimeError("a mistake")

    monkeypatch.setattr(adapters.reconcilers["chat"], "settled", broken)
    with capture_logs() as logs:
        assert await adapters.settled("chat")
    assert logs[0]["engine"] == "chat"
    assert await adapters.settled("plain")
    adapters.forget("plain")


def test_each_reconciler_is_a_part_of_its_engine(adapters: LoraService) -> None:
    assert [(part.name, part.engine) for part in adapters.parts()] == [("lora:chat", "chat")]
