"""An answer with log-probabilities, as vLLM's /v1/completions gives it. Pure.

With `return_tokens_as_token_ids` a token is such as ``token_id:42`` (by their texts different ones
may look alike), with `return_token_ids` those of the prompt are told too. Source:
`create_completion_logprobs` in vllm/entrypoints/openai/completion/serving.py, vLLM 0.32; seen with
the CPU build.
"""

import math
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

import attrs

LEAST = -50.0
"""Nats. What is less likely (vLLM writes -9999 for minus infinity) is as good as impossible."""
HIGHEST = 1.0
"""Nats. No probability is above 1, and none is rounded up to so much."""
ROUNDING = 1e-3
"""A probability may exceed 1 by so much: half precision."""
TOKEN_ID = "token_id:"


class BrokenAnswerError(Exception):
    """An answer that no sound engine gives: the message says what is in it."""


class OtherShapeError(Exception):
    """An answer without what was asked for: nothing can be said of it."""


@attrs.frozen
class TokenPlace:
    """What the engine said of one place in a text: the natural logarithms of probabilities."""

    token: int
    """The token that stands there."""
    logprobs: Mapping[int, float]
    """Of the most likely tokens, and of the one that stands there."""


@attrs.frozen
class PromptAnswer:
    """What came for one prompt."""

    tokens: tuple[int, ...]
    """The prompt, as the engine's tokenizer has it."""
    places: tuple[TokenPlace, ...]
    """What was generated, one token after another."""


def parse(body: Any, top: int) -> PromptAnswer:
    """Read the answer to a request for the `top` most likely tokens.

    Raises: BrokenAnswerError: what it says cannot be; OtherShapeError: it says too little.
    """
    try:
        choice = body["choices"][0]
        tokens = tuple(int(token) for token in choice["prompt_token_ids"])
        tables, own = choice["logprobs"]["top_logprobs"], choice["logprobs"]["token_logprobs"]
        places = [
            _position(token, {**_by_id(table or {}), token: said}, top)
            for token, table, said in zip(choice["token_ids"], tables, own, strict=True)
        ]
    except (LookupError, TypeError, ValueError, AttributeError, OverflowError) as error:
        raise OtherShapeError(f"no log-probabilities by token in it ({error!r})") from None
    if not places:
        raise OtherShapeError("nothing was generated")
    return PromptAnswer(tokens, tuple(places))


def _by_id(table: Mapping[str, Any]) -> dict[int, Any]:
    return {int(key.removeprefix(TOKEN_ID)): value for key, value in table.items()}


def _position(token: Any, logprobs: Mapping[int, Any], top: int) -> TokenPlace:
    """Check what was said of one place.

    Raises: BrokenAnswerError.
    """
    found = {}
    for each, said in logprobs.items():
        value = float("nan") if said is None else float(said)
        if math.isnan(value):
            raise BrokenAnswerError(f"a log-probability of token {each} that is no number")
        if value > HIGHEST:
            raise BrokenAnswerError(f"a log-probability of token {each} of {value:g}, above 0")
        found[each] = max(value, LEAST)
    whole = sum(math.exp(each) for each in sorted(found.values())[-top:])
    if whole > 1 + ROUNDING * (top + 1):
        raise BrokenAnswerError(f"probabilities of one place that sum up to {whole:.3f}")
    return TokenPlace(int(token), MappingProxyType(found))


def to_json(answer: PromptAnswer) -> dict[str, Any]:
    """Return it as it is kept."""
    places = [
        {
            "token": each.token,
            "logprobs": {str(token): round(said, 5) for token, said in each.logprobs.items()},
        }
        for each in answer.places
    ]
    return {"tokens": list(answer.tokens), "places": places}


def from_json(record: Mapping[str, Any]) -> PromptAnswer:
    """Read what `to_json` wrote. Raises: KeyError, ValueError, TypeError: it is something else."""
    return PromptAnswer(
        tuple(int(each) for each in record["tokens"]),
        tuple(_read_position(each) for each in record["places"]),
    )


def _read_position(record: Mapping[str, Any]) -> TokenPlace:
    found = {int(token): float(each) for token, each in record["logprobs"].items()}
    token = int(record["token"])
    if token not in found or not all(LEAST <= each <= HIGHEST for each in found.values()):
        raise ValueError("a position without its own token, or with what is no log-probability")
    return TokenPlace(token, MappingProxyType(found))
