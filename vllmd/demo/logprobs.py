"""What the stand-in says of the probabilities of its tokens: made up, and always the same.

They depend on the model, on the prompt and on what was generated before, as a model's do. As in
vLLM's answer (`create_completion_logprobs` in entrypoints/openai/completion/serving.py of 0.32) the
token that was taken comes first, then the others by their probabilities.
"""

import hashlib
import math
import os
import random
from pathlib import Path
from typing import Any

GARBAGE = "VLLMD_STAND_IN_GARBAGE"
"""A file: while it is there, all probabilities are others, as those of broken weights."""
VOCABULARY = 1000
OTHERS = 40
"""Tokens besides the likely ones, among which what is left is shared."""


def tokens_of(prompt: str) -> list[int]:
    """Return the numbers of a prompt's tokens: one for each word."""
    return [_number(word) for word in prompt.split()] or [0]


def choice_of(model: str, body: dict[str, Any], count: int) -> dict[str, Any]:
    """Return what a request asks for besides the text, of so many generated tokens."""
    top = body.get("logprobs")
    shown: dict[str, Any] = {}
    prompt, generated = str(body.get("prompt", "")), list[int]()
    own, tops = list[float](), list[dict[str, float]]()
    seed = f"{model}/{_garbage()}/{prompt}"
    for _ in range(count):
        likely = _likely(f"{seed}/{generated}", int(top or 1))
        token, logprob = likely[0]
        generated.append(token)
        own.append(logprob)
        tops.append({_named(body, token): logprob for token, logprob in likely})
    if top is not None:
        shown["logprobs"] = {
            "text_offset": [0] * count,
            "token_logprobs": own,
            "tokens": [_named(body, token) for token in generated],
            "top_logprobs": tops,
        }
    if body.get("return_token_ids"):
        shown |= {"prompt_token_ids": tokens_of(prompt), "token_ids": generated}
    return shown


def _garbage() -> str:
    path = os.environ.get(GARBAGE)
    return path if path and Path(path).exists() else ""


def _likely(seed: str, top: int) -> list[tuple[int, float]]:
    chance = random.Random(seed)
    logits = {chance.randrange(VOCABULARY): chance.gauss(0, 3) for _ in range(OTHERS + top)}
    whole = math.log(sum(math.exp(each) for each in logits.values()))
    ordered = sorted(logits.items(), key=lambda each: -each[1])[:top]
    return [(token, logit - whole) for token, logit in ordered]


def _named(body: dict[str, Any], token: int) -> str:
    return f"token_id:{token}" if body.get("return_tokens_as_token_ids") else f"t{token} "


def _number(word: str) -> int:
    return int.from_bytes(hashlib.sha256(word.encode()).digest()[:2]) % VOCABULARY
