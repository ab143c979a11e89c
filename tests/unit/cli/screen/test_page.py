import json

import pytest
from textual.widgets import Input

from tests.helpers.top import SceneSource, top


async def test_page_shows_only_what_has_the_word_until_escape() -> None:
    async with top(SceneSource("eight-gpus")) as screen:
        await screen.press("slash", *"coder")
        assert "chat " not in screen.page.body.text()
        await screen.press("enter")
        assert "/coder" in screen.text()
        await screen.press("d")  # a key is a key again
        assert "vllmd stop code" in screen.text()
        await screen.press("n", "escape")
        assert "chat " in screen.page.body.text()


async def test_page_copies_what_is_chosen_as_json() -> None:
    async with top(SceneSource("eight-gpus")) as screen:
        await screen.press("down", "y")
        assert json.loads(screen.app.clipboard)["name"] == "code"
        assert "copied as JSON" in screen.text()


async def test_page_names_as_many_keys_as_there_is_room_for() -> None:
    async with top(SceneSource("held"), size=(40, 12)) as screen:
        last = screen.text().splitlines()[-1]
        assert last.startswith("Enter open")
        assert last.endswith("? help  q quit")
        assert len(last) <= 40


async def test_page_leaves_by_q() -> None:
    async with top(SceneSource("held")) as screen:
        await screen.press("enter", "l")
        screen.page.action_leave_all()
        assert not screen.app.is_running or screen.app._exit


async def test_page_takes_what_is_typed_fast_as_the_word_and_not_as_commands() -> None:
    async with top(SceneSource("all-well")) as screen:
        page = screen.page
        page.action_filter()
        asked = page.focused
        page.on_screen_resume()
        assert isinstance(asked, Input)
        assert page.focused is asked
        await screen.press("r")
        assert page.word == "r"
        assert screen.ran == []


@pytest.mark.long
async def test_page_takes_keys_of_one_read_in_their_order() -> None:
    """Of "/r" the r is a letter, also where the page has not drawn the line for it yet."""
    async with top(SceneSource("eight-gpus")) as screen:
        await screen.paste_keys("slash", *"coder", "enter")
        assert screen.page.word == "coder"
        assert "chat " not in screen.page.body.text()
        assert screen.ran == []
        await screen.press("slash", *"coder", "home", "x", "end", "backspace", "q")
        assert screen.page.word == "xcodeq"  # keys of the line, not of the page
        await screen.press("escape")
        await screen.paste_keys("down", "enter", "l", "slash", *"word")
        assert (type(screen.page).__name__, screen.page.word) == ("LogPage", "word")
