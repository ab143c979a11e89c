import asyncio
import signal
import threading
from collections.abc import Iterator

import pytest
from textual.worker import WorkerFailed

from tests.helpers.top import FakeClient, SceneSource, top
from vllmd.cli.screen import app, lines
from vllmd.cli.screen.actions import Done
from vllmd.cli.screen.feeds import Feed
from vllmd.errors import DaemonUnreachableError


async def test_app_shows_engines_and_opens_one() -> None:
    async with top(SceneSource("eight-gpus")) as screen:
        text = screen.text()
        assert "2 of 3 ready" in text
        assert "chat" in text
        assert "live" in text
        await screen.press("enter")
        assert "The last ten minutes" in screen.text()
        await screen.press("escape")
        assert "2 of 3 ready" in screen.text()


async def test_app_runs_a_command_only_after_a_yes_and_as_it_was_shown() -> None:
    async with top(SceneSource("all-well")) as screen:
        await screen.press("r")
        assert "vllmd restart chat --socket /run/vllmd/control.sock" in screen.text()
        await screen.press("n")
        assert screen.ran == []
        await screen.press("d", "y")
        await screen.done()
        (action,) = screen.ran
        assert action.shown == "vllmd stop chat --socket /run/vllmd/control.sock"
        assert "chat: stop requested" in screen.text()


async def test_app_shows_all_that_a_failed_command_said() -> None:
    failed = Done(77, "vllmd: not permitted: be root, or join the group vllmd")
    async with top(SceneSource("all-well"), done=failed) as screen:
        await screen.press("u", "y")
        await screen.done()
        assert "ended with exit code 77" in screen.text()
        assert "join the group vllmd" in screen.text()


async def test_app_without_an_answer_keeps_the_last_picture_and_says_how_old_it_is() -> None:
    clock, source = [100.0], SceneSource("all-well")
    async with top(source, monotonic=clock) as screen:
        source.error = DaemonUnreachableError("no vllmd answers")
        clock[0] += 42
        await screen.look()
        assert "this is 42s old: no vllmd answers" in screen.text()
        assert "chat" in screen.page.body.text()
        source.error = None
        await screen.look()
        assert "live" in screen.text()
        assert "no vllmd answers" not in screen.text()


@pytest.fixture
def _drawn_anew() -> Iterator[None]:
    """Forget lines that were made for another terminal."""
    for cache in (lines.text_of, lines._strip):
        cache.cache_clear()
    yield
    for cache in (lines.text_of, lines._strip):
        cache.cache_clear()


@pytest.mark.usefixtures("_drawn_anew")
async def test_app_in_a_locale_of_ascii_is_ascii(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LC_ALL", "C")
    async with top(SceneSource("all-well"), size=(160, 48)) as screen:
        assert screen.text().isascii()
        await screen.press("r")
        assert "vllmd restart chat" in screen.text()
        assert screen.text().isascii()


@pytest.mark.usefixtures("_drawn_anew")
@pytest.mark.parametrize("wanted", [True, False])
async def test_app_has_no_colours_where_none_are_wanted(
    wanted: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("NO_COLOR", raising=False)
    if not wanted:
        monkeypatch.setenv("NO_COLOR", "1")
    async with top(SceneSource("held")) as screen:
        segments = [s for line in screen.app.screen._compositor.render_strips() for s in line]
        colours = {s.style.color.name for s in segments if s.style and s.style.color}
        assert ("color(1)" in colours) == wanted  # red: the engine is held
        assert any(s.style and s.style.reverse for s in segments)


async def test_app_that_cannot_show_an_answer_says_so_and_goes_on() -> None:
    source = SceneSource("all-well")
    async with top(source) as screen:
        source.changed = {"engines": [{}]}
        screen.app.look_soon()
        with pytest.raises(WorkerFailed):
            await screen.done()
        await screen.pause()
        assert "what was answered cannot be shown: KeyError" in screen.text()
        source.changed = {}
        await screen.look()
        assert "chat" in screen.page.body.text()


async def test_app_paused_asks_nobody() -> None:
    source = SceneSource("all-well")
    async with top(source) as screen:
        await screen.press("p")
        asked = len(source.asked)
        screen.app.look_soon()
        await screen.done()
        assert len(source.asked) == asked
        assert "PAUSED" in screen.text()


async def test_app_of_other_hosts_acts_on_none_and_says_where() -> None:
    hosts = SceneSource("all-well"), SceneSource("held")
    async with top(*hosts, local=False) as screen:
        await screen.press("r")
        assert "run 'vllmd top' there" in screen.text()
        await screen.press("x")
        assert "on their host" in screen.text()
        assert screen.ran == []
        await screen.press("question_mark")
        assert "Other hosts are only looked at" in screen.text()


async def test_app_with_a_host_that_does_not_answer_shows_what_others_say(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(app, "PATIENCE_S", 0.01)
    slow, answers = SceneSource("held"), threading.Event()
    at_once = slow.status
    monkeypatch.setattr(slow, "status", lambda series: answers.wait() and at_once(series=series))
    try:
        async with top(slow, SceneSource("all-well"), local=False) as screen:
            while "1 of 2 daemons" not in screen.text():
                await screen.look()
            assert "chat" in screen.text()
            answers.set()
            while "2 of 2 daemons" not in screen.text():
                await screen.look()
            assert slow.asked
    finally:
        answers.set()


async def test_app_with_a_log_on_a_disk_that_hangs_shows_all_else(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(app, "PATIENCE_S", 0.01)
    source, answers = SceneSource("all-well"), threading.Event()
    monkeypatch.setattr(Feed, "renew", lambda self, monotonic: answers.wait())
    try:
        async with top(source, engine="chat") as screen:
            source.error = DaemonUnreachableError("no vllmd answers")
            while "no vllmd answers" not in screen.text():
                await screen.look()
            answers.set()
    finally:
        answers.set()


async def test_app_ends_although_a_host_never_answers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(app, "PATIENCE_S", 0.01)
    source, answers = SceneSource("all-well"), threading.Event()
    try:
        async with top(source) as screen:
            monkeypatch.setattr(source, "status", lambda series: answers.wait())
            await screen.look()
            await screen.press("q")
        async with asyncio.timeout(20):
            await asyncio.get_running_loop().shutdown_default_executor()
        assert not answers.is_set()
    finally:
        answers.set()


async def test_app_that_is_told_to_end_gives_the_terminal_back() -> None:
    async with top(SceneSource("all-well")) as screen:
        signal.raise_signal(signal.SIGTERM)
        while not screen.app._exit:
            await screen.pause()


async def test_app_acts_on_no_other_engine_where_the_chosen_one_is_gone() -> None:
    source = SceneSource("eight-gpus")
    async with top(source) as screen:
        await screen.press("down")
        engines = source.status(series=False)["engines"]
        source.changed = {"engines": [engines[0], *engines[2:]]}
        await screen.look()
        await screen.press("r")
        assert "choose an engine first" in screen.text()
        await screen.press("y")
        assert screen.ran == []
        source.changed = {}
        await screen.look()
        await screen.press("r")
        assert f"vllmd restart {engines[1]['name']}" in screen.text()


async def test_app_with_a_word_chooses_the_first_that_has_it() -> None:
    source = SceneSource("eight-gpus")
    async with top(source) as screen:
        last = str(source.status(series=False)["engines"][-1]["name"])
        await screen.press("slash", *last, "enter", "r")
        assert f"vllmd restart {last}" in screen.text()


async def test_app_reaps_only_where_there_are_orphans() -> None:
    client = FakeClient()
    async with top(SceneSource("all-well"), client=client) as screen:
        await screen.press("x")
        await screen.done()
        assert "no orphan of ours holds GPU memory" in screen.text()


async def test_app_shows_orphans_before_they_are_killed() -> None:
    client = FakeClient()
    orphan = {"owner": "orphan", "pid": 77, "bytes": 20 << 30}
    client.shown["gpus"] = {"gpus": [{"gpu": "0", "processes": [orphan]}]}
    async with top(SceneSource("all-well"), client=client) as screen:
        await screen.press("x")
        await screen.done()
        assert "pid 77 on GPU 0, 20.0 GiB" in screen.text()
        await screen.press("y")
        await screen.done()
        assert screen.ran[0].args[:3] == ("gpu", "reap", "--yes")
