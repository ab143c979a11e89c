import pytest

from vllmd.config.load import parse
from vllmd.config.problem import InvalidConfigError

TABLE = '[engines.chat]\nmodel = "m"\n'


def test_table_turns_it_on() -> None:
    assert parse(TABLE)[0].engines["chat"].probe is None
    found = parse(f"{TABLE}[engines.chat.probe]\n")[0].engines["chat"].probe
    assert found is not None
    assert (found.on_mismatch, found.every_s) == ("alert", 3600)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('flags = { logprobs-mode = "raw_logits" }\n', "gives no probabilities"),
        ("flags = { max-logprobs = 0 }\n", "less than the 5 log-probabilities"),
        ('flags = { runner = "pooling" }\n', "generates no text"),
        ('flags = { task = "embed" }\n', "generates no text"),
    ],
)
def test_engine_whose_answers_cannot_be_looked_at_is_refused(text: str, said: str) -> None:
    with pytest.raises(InvalidConfigError, match=said):
        parse(f"{TABLE}{text}[engines.chat.probe]\n")
    parse(TABLE + text)


@pytest.mark.parametrize(
    "text",
    [
        'flags = { logprobs-mode = "processed_logprobs" }\n',
        "flags = { max-logprobs = -1 }\n",
        "flags = { max-logprobs = 5 }\n",
        'flags = { runner = "generate" }\n',
    ],
)
def test_what_goes_with_it_is_taken(text: str) -> None:
    assert parse(f"{TABLE}{text}[engines.chat.probe]\n")[0].engines["chat"].probe


@pytest.mark.parametrize("line", ['on_mismatch = "page"', "every_s = 5", "tolerance = 0"])
def test_value_that_makes_no_sense_is_refused(line: str) -> None:
    with pytest.raises(InvalidConfigError):
        parse(f"{TABLE}[engines.chat.probe]\n{line}\n")
