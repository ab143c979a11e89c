import json
from typing import Any

import attrs
import pytest

from vllmd.engine.causes import BY_NAME
from vllmd.groups.page import (
    EndOfPart,
    GroupPage,
    GroupWish,
    RefusedWish,
    for_others,
    from_json,
    role_of,
)

PAGE = GroupPage(
    host="gpu02",
    rank=1,
    generation="abc",
    runs=True,
    wish=GroupWish("restart", "abc"),
    refused=RefusedWish(GroupWish("restart", "abc"), "it would not start again"),
    ended=EndOfPart("abc", 2.5, False, "exited with code 0 unexpectedly", "unknown"),
    addresses=("10.0.0.2",),
)


def test_page_goes_over_the_wire_and_back() -> None:
    assert from_json(json.loads(json.dumps(PAGE.to_json()))) == PAGE


def test_page_of_a_later_version_is_read_without_what_it_added() -> None:
    assert from_json({**PAGE.to_json(), "schema": 2, "colour": "red"}) == PAGE


@pytest.mark.parametrize(
    "broken",
    [
        {"rank": 1},
        {"schema": 1, "host": "a", "rank": "one", "generation": None},
        {"schema": 0, "host": "a", "rank": 1, "generation": None},
        {"schema": 1, "host": "a", "rank": 1, "generation": "x", "runs": "yes"},
        {"schema": 1, "host": "a", "rank": 1, "generation": "x", "ended": {"ago_s": "soon"}},
    ],
)
def test_page_that_makes_no_sense_is_refused(broken: dict[str, object]) -> None:
    with pytest.raises((ValueError, TypeError, KeyError)):
        from_json(broken)


def test_role_the_first_is_the_head() -> None:
    assert (role_of(0), role_of(1), PAGE.role) == ("head", "member", "member")


def test_for_others_has_no_path_and_no_secret_of_a_refusal() -> None:
    no = RefusedWish(GroupWish("restart", "abc"), "/etc/vllmd.toml of hf_S3CRET cannot be used")
    shown = for_others(
        attrs.evolve(PAGE, refused=no), lambda text: text.replace("hf_S3CRET", "***")
    )
    assert shown.refused is not None
    assert shown.refused.why == "(a path) of *** cannot be used"


@pytest.mark.parametrize("field", ["ended", "failure"])
def test_for_others_has_no_output_no_path_and_no_secret(field: str) -> None:
    end = EndOfPart(
        "abc",
        2.5,
        False,
        "could not be started: [Errno 2] '/home/alice/vllm' of hf_S3CRET",
        "disk_full",
        "host",
        "No space in ~/models for Qwen/Qwen3-8B.",
        "Make room in /home/alice.",
        ("a line with a prompt",),
    )
    plain = GroupPage("gpu02", 1, "abc", problem="see /etc/x of hf_S3CRET")
    ended: dict[str, Any] = {field: end}
    page = attrs.evolve(plain, **ended)
    shown = for_others(page, lambda text: text.replace("hf_S3CRET", "***"))
    told = json.dumps(shown.to_json())
    for private in ("alice", "/etc", "S3CRET", "prompt", "~/models"):
        assert private not in told
    found = getattr(shown, field)
    assert found.text == "could not be started: [Errno 2] '(a path)' of ***"
    assert found.explanation == "No space in (a path) for Qwen/Qwen3-8B."
    assert found.advice == BY_NAME["disk_full"].advice
    assert (found.cause, found.kind, found.generation) == ("disk_full", "host", "abc")
