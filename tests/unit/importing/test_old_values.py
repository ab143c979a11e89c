"""Values that vLLM once took, as what it takes now."""

from typing import Any

import pytest

from vllmd.importing.old_values import GONE, RENAMED, renewed

CONFIG = "compilation-config"


@pytest.mark.parametrize(
    ("name", "value", "now", "made"),
    [
        (CONFIG, 3, CONFIG, {"mode": 3}),
        (CONFIG, {"level": 2, "x": 1}, CONFIG, {"mode": 2, "x": 1}),
        (f"{CONFIG}.level", 2, f"{CONFIG}.mode", 2),
        (
            CONFIG,
            {"pass_config": {"enable_noop": True, "enable_fusion": True}},
            CONFIG,
            {"pass_config": {"eliminate_noops": True}},
        ),
        (f"{CONFIG}.pass_config.enable_noop", True, f"{CONFIG}.pass_config.eliminate_noops", True),
        (CONFIG, {"full_cuda_graph": True}, "", {}),
        (f"{CONFIG}.full_cuda_graph", True, "", True),
        ("limit-mm-per-prompt", "image=2,video=1", "limit-mm-per-prompt", {"image": 2, "video": 1}),
    ],
)
def test_old_value_is_that_of_now_and_said(name: str, value: Any, now: str, made: Any) -> None:
    found = renewed(name, value)
    assert found[:2] == (now, made)
    assert found[2]


@pytest.mark.parametrize(
    ("name", "value"),
    [
        (CONFIG, {"mode": 3, "pass_config": {"fuse_attn_quant": True}}),
        (CONFIG, {}),
        (CONFIG, True),
        (f"{CONFIG}.mode", 3),
        ("limit-mm-per-prompt", {"image": 2}),
        ("limit-mm-per-prompt", "x"),
        ("seed", 3),
    ],
)
def test_value_of_now_stays(name: str, value: Any) -> None:
    assert renewed(name, value) == (name, value, [])


def test_no_key_of_now_is_one_of_before() -> None:
    assert not {*RENAMED, *GONE} & {*RENAMED.values()}
