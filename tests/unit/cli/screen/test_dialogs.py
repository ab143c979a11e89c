from tests.helpers.top import SceneSource, top


async def test_help_has_every_key_and_fits_eighty_columns() -> None:
    async with top(SceneSource("held")) as screen:
        await screen.press("question_mark")
        text = screen.text()
        assert "Commands are those of this host's daemon" in text
        assert "Esc closes this" in text
        assert all(len(line) <= 80 for line in text.splitlines())
        await screen.press("escape")
        assert "Esc closes this" not in screen.text()


async def test_question_is_answered_by_y_alone() -> None:
    async with top(SceneSource("held")) as screen:
        for key in ("enter", "n"):
            await screen.press("r")
            assert "This is what runs:" in screen.text()
            await screen.press(key)
            assert "This is what runs:" not in screen.text()
        assert screen.ran == []
