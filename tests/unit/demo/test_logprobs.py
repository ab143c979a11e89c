from pathlib import Path

import pytest

from vllmd.config.probe import TOP
from vllmd.demo.logprobs import GARBAGE, choice_of
from vllmd.probe.answer import parse
from vllmd.probe.prompts import PROMPTS, request


def test_what_a_probe_asks_for_is_answered_and_always_the_same() -> None:
    body = request("chat", PROMPTS[0], "salt")
    found = parse({"choices": [choice_of("m", body, 16)]}, TOP)
    assert len(found.places) == 16
    assert all(len(each.logprobs) == TOP for each in found.places)
    assert parse({"choices": [choice_of("m", {**body, "cache_salt": "x"}, 16)]}, TOP) == found
    assert parse({"choices": [choice_of("n", body, 16)]}, TOP) != found


def test_garbage_is_answered_while_its_file_is_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    body, flag = request("chat", PROMPTS[0], "salt"), tmp_path / "garbage"
    monkeypatch.setenv(GARBAGE, str(flag))
    before = choice_of("m", body, 4)
    flag.touch()
    assert choice_of("m", body, 4) != before
    flag.unlink()
    assert choice_of("m", body, 4) == before


def test_nothing_is_told_that_was_not_asked_for() -> None:
    assert choice_of("m", {"prompt": "a"}, 4) == {}
    assert choice_of("m", {"prompt": "a", "return_token_ids": True}, 2).keys() == {
        "prompt_token_ids",
        "token_ids",
    }
