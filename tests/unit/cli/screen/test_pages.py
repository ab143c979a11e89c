from pathlib import Path

import pytest

from tests.helpers.top import FakeClient, SceneSource, top
from vllmd.cli.screen.pages import TABS


async def test_tabs_are_reached_by_number_and_by_tab() -> None:
    async with top(SceneSource("all-well")) as screen:
        for index, name in enumerate(TABS):
            await screen.press(str(index + 1))
            assert f"[{index + 1} {name}]" in screen.text()
        await screen.press("tab")
        assert "[1 Engines]" in screen.text()
        await screen.press("left")
        assert "[5 Cost]" in screen.text()


async def test_tab_asks_only_for_what_it_shows() -> None:
    client = FakeClient()
    async with top(SceneSource("all-well"), client=client) as screen:
        assert client.asked == []
        await screen.press("2")
        assert set(client.asked) == {"/v1/gpu"}


async def test_engines_are_sorted_by_the_next_column() -> None:
    async with top(SceneSource("eight-gpus")) as screen:
        await screen.press("s")
        assert "sorted by state" in screen.text()
        body = screen.page.body.text()
        assert body.index("embed") < body.index("chat  ")


async def test_wide_screen_has_graphs_of_the_chosen_engine_and_the_gpus() -> None:
    async with top(SceneSource("all-well"), size=(160, 48)) as screen:
        text = screen.text()
        assert "TOK/S, 10 MINUTES" in text
        assert "tokens/s 1,840" in text
        assert "512/700 W" in text
        await screen.press("down")
        assert "tokens/s 12 " in screen.text()


async def test_mouse_chooses_opens_and_changes_tabs() -> None:
    async with top(SceneSource("all-well")) as screen:
        await screen.click("#above", 17, 0)  # no tab
        assert "[1 Engines]" in screen.text()
        await screen.click("#above", 17, 2)
        assert "[2 GPUs]" in screen.text()
        await screen.click("#above", 2, 2)
        await screen.click("#body", 5, 2)
        assert screen.page.body.chosen is not None
        assert screen.page.body.chosen.data["name"] == "embed"
        await screen.click("#body", 5, 2)
        assert "BAAI/bge-m3" in screen.text()


async def test_engine_that_is_named_is_shown_at_first() -> None:
    async with top(SceneSource("all-well"), engine="embed") as screen:
        assert "BAAI/bge-m3" in screen.text()


async def test_engine_that_is_gone_says_so() -> None:
    source = SceneSource("all-well")
    async with top(source, engine="embed") as screen:
        source.changed = {"engines": []}
        await screen.look()
        assert "embed is not configured any more" in screen.text()


@pytest.mark.long
async def test_log_is_followed_until_one_goes_up(tmp_path: Path) -> None:
    log, source = tmp_path / "chat.log", SceneSource("all-well")
    log.write_text("".join(f"line {n}\n" for n in range(60)))
    (engine, *_) = source.status(series=False)["engines"]
    source.changed = {"engines": [{**engine, "log": str(log)}]}
    async with top(source) as screen:
        await screen.press("l")
        assert "line 59" in screen.text()
        assert "following" in screen.text()
        await screen.press("up")
        with log.open("a") as file:
            file.write("line 60\n")
        await screen.look()
        assert "line 60" not in screen.text()
        await screen.press("end")
        assert "line 60" in screen.text()
        await screen.press("slash", *"line 3")
        assert "line 31" in screen.page.body.text()
        assert "line 40" not in screen.page.body.text()


async def test_why_says_what_the_command_says() -> None:
    async with top(SceneSource("held")) as screen:
        await screen.press("w")
        assert "nothing has happened to it" in screen.text()
        await screen.press("l")
        assert "nothing has happened to it" not in screen.text()
        await screen.press("escape")
        assert "[1 Engines]" in screen.text()


@pytest.mark.long
@pytest.mark.parametrize("size", [(80, 24), (20, 5), (200, 60)])
async def test_every_page_can_be_drawn_at_any_size(size: tuple[int, int]) -> None:
    async with top(SceneSource("backoff"), size=size) as screen:
        for key in ("2", "3", "4", "5", "1", "enter", "w", "l", "escape"):
            await screen.press(key)
            lines = screen.text().splitlines()
            assert len(lines) == size[1]
            assert max(map(len, lines)) <= size[0]
