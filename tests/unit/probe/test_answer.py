import json
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.probe.made import answers, body
from vllmd.config.probe import TOP
from vllmd.probe.answer import (
    LEAST,
    BrokenAnswerError,
    OtherShapeError,
    from_json,
    parse,
    to_json,
)


def test_answer_of_vllm_is_read() -> None:
    given = answers()[0]
    assert parse(body(given), TOP) == given


def test_minus_infinity_is_as_good_as_impossible() -> None:
    given = body(answers()[0])
    given["choices"][0]["logprobs"]["top_logprobs"][0]["token_id:49"] = -9999.0
    assert parse(given, TOP).places[0].logprobs[49] == LEAST


@pytest.mark.parametrize("value", [math.nan, None])
def test_what_is_no_number_is_broken(value: float | None) -> None:
    given = body(answers()[0])
    given["choices"][0]["logprobs"]["token_logprobs"][3] = value
    with pytest.raises(BrokenAnswerError, match="is no number"):
        parse(given, TOP)


def test_probabilities_beyond_one_are_broken() -> None:
    given = body(answers()[0])
    given["choices"][0]["logprobs"]["top_logprobs"][2] = {"token_id:1": -0.1, "token_id:2": -0.1}
    with pytest.raises(BrokenAnswerError, match="sum up to"):
        parse(given, TOP)


@pytest.mark.parametrize("value", [1000.0, math.inf, 1.5])
def test_log_probability_above_zero_is_broken(value: float) -> None:
    """Found by `make fuzz`: the exponential of 1000 is no number, and ended the prober."""
    given = body(answers()[0])
    given["choices"][0]["logprobs"]["token_logprobs"][3] = value
    with pytest.raises(BrokenAnswerError, match="above 0"):
        parse(given, TOP)


@pytest.mark.parametrize("value", [10**400, "x"])
def test_log_probability_that_is_no_float_has_another_shape(value: object) -> None:
    given = body(answers()[0])
    given["choices"][0]["logprobs"]["token_logprobs"][3] = value
    with pytest.raises(OtherShapeError):
        parse(given, TOP)


@pytest.mark.parametrize("key", ["prompt_token_ids", "token_ids", "logprobs"])
def test_answer_that_says_too_little_has_another_shape(key: str) -> None:
    given = body(answers()[0])
    given["choices"][0][key] = None
    with pytest.raises(OtherShapeError):
        parse(given, TOP)


def test_answer_without_a_token_has_another_shape() -> None:
    given = body(answers()[0])
    given["choices"][0] |= {
        "token_ids": [],
        "logprobs": {"top_logprobs": [], "token_logprobs": []},
    }
    with pytest.raises(OtherShapeError, match="nothing was generated"):
        parse(given, TOP)


@pytest.mark.long
@given(
    st.recursive(
        st.none() | st.floats() | st.text() | st.integers(),
        lambda each: st.lists(each) | st.dictionaries(st.text(), each),
    )
)
def test_whatever_is_answered_is_read_or_refused(value: object) -> None:
    with pytest.raises((OtherShapeError, BrokenAnswerError)):
        parse({"choices": [value]}, TOP)


def test_answer_is_kept_in_json() -> None:
    given = answers()[0]
    kept = from_json(json.loads(json.dumps(to_json(given))))
    assert kept.tokens == given.tokens
    for one, other in zip(kept.places, given.places, strict=True):
        assert one.token == other.token
        assert one.logprobs == pytest.approx(dict(other.logprobs), abs=1e-5)


@pytest.mark.parametrize(
    "logprobs", [{}, {"2": -1.0}, {"1": math.nan}, {"1": 800.0}, {"1": -1e300}]
)
def test_record_that_makes_no_sense_is_refused(logprobs: dict[str, float]) -> None:
    record = {"tokens": [1], "places": [{"token": 1, "logprobs": logprobs}]}
    with pytest.raises(ValueError, match="without its own token"):
        from_json(record)
