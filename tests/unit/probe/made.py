"""Answers that are made up."""

import functools
import json
import math
import random
from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import Any

import httpx

from vllmd.config.probe import TOP
from vllmd.probe.answer import PromptAnswer, TokenPlace
from vllmd.probe.prompts import ANSWER_TOKENS, PROMPTS

VOCABULARY = 50


def position(token: int, logprobs: Mapping[int, float]) -> TokenPlace:
    return TokenPlace(token, MappingProxyType(dict(logprobs)))


def answers(seed: int = 1, *, noise: float = 0.0, noise_seed: int = 0) -> list[PromptAnswer]:
    """Return answers to all prompts by a model of that seed, with noise on its logits."""
    return [answer(seed, number, noise, noise_seed) for number in range(len(PROMPTS))]


@functools.cache
def answer(seed: int, number: int, noise: float = 0.0, noise_seed: int = 0) -> PromptAnswer:
    """Return the answer to one prompt; the same object each time, as it is frozen."""
    model, other = random.Random(f"{seed}/{number}"), random.Random(f"{noise_seed}/{number}")
    places = []
    for _ in range(ANSWER_TOKENS):
        logits = [model.gauss(0, 3) + other.gauss(0, noise) for _ in range(VOCABULARY)]
        places.append(from_logits(logits))
    return PromptAnswer((1, 2, 3), tuple(places))


def from_logits(logits: Sequence[float], top: int = TOP) -> TokenPlace:
    whole = math.log(sum(math.exp(each) for each in logits))
    ordered = sorted(range(len(logits)), key=lambda token: -logits[token])
    return position(ordered[0], {token: logits[token] - whole for token in ordered[:top]})


def body(given: PromptAnswer) -> dict[str, Any]:
    """Return an answer as vLLM's /v1/completions writes it."""
    tops = [{f"token_id:{token}": each for token, each in p.logprobs.items()} for p in given.places]
    own = [each.logprobs[each.token] for each in given.places]
    choice = {
        "index": 0,
        "text": "",
        "prompt_token_ids": list(given.tokens),
        "token_ids": [each.token for each in given.places],
        "logprobs": {"top_logprobs": tops, "token_logprobs": own},
    }
    return {"choices": [choice]}


class FakeVllm:
    """An engine that answers as a model of a seed does; each request is kept."""

    def __init__(self) -> None:
        self.seed = 1
        self.seeds: list[int] = []
        """Those of the next probes; then `seed`."""
        self.status = 200
        self.text: str | None = None
        self.broken = 0
        """So many of the next requests get what no sound engine gives."""
        self.version = "0.32.0"
        self.asked: list[httpx.Request] = []
        self.told: Callable[[], None] = lambda: None
        """Called at each request for answers."""
        self.told_version: Callable[[], None] = lambda: None
        """Called when it is asked for its version."""

    def client(self) -> httpx.AsyncClient:
        return httpx.AsyncClient(transport=httpx.MockTransport(self._answer))

    def _answer(self, request: httpx.Request) -> httpx.Response:
        if request.url.path == "/version":
            self.told_version()
            return httpx.Response(200, json={"version": self.version})
        self.asked.append(request)
        self.told()
        if self.broken:
            self.broken -= 1
            return httpx.Response(400, text="not JSON compliant: nan")
        if self.status != 200 or self.text is not None:
            return httpx.Response(self.status, text=self.text or "no")
        number = PROMPTS.index(json.loads(request.content)["prompt"])
        seed = self.seeds[0] if self.seeds else self.seed
        if self.seeds and number == len(PROMPTS) - 1:
            self.seeds.pop(0)
        return httpx.Response(200, json=body(answers(seed)[number]))

    @property
    def probes(self) -> int:
        return len(self.asked) // len(PROMPTS)
