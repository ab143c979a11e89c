"""Probes of a real vLLM: it answers as the stand-in does, the same each time, and what is wrong
shows."""

import asyncio
import json
import re
from collections.abc import Coroutine
from typing import Any, TypeVar

import httpx

from tests.engine.conftest import REPORT
from tests.helpers.site import Site
from vllmd.config.probe import TOP
from vllmd.demo.logprobs import choice_of
from vllmd.probe.asking import Asker
from vllmd.probe.judge import TOLERANCE, judge, noise_of
from vllmd.probe.prompts import ANSWER_TOKENS, PROMPTS, request

T = TypeVar("T")


def asked(work: Coroutine[Any, Any, T]) -> T:
    return asyncio.run(work)


async def ask(real: Site, model: str = "tiny", *, together: bool = False) -> Any:
    async with httpx.AsyncClient(trust_env=False) as client:
        return await Asker(client, real.api, model).ask(together=together)


def test_real_vllm_and_the_stand_in_answer_alike(real: Site) -> None:
    """The same keys, the same kinds, the same numbers of them; the numbers themselves differ."""
    body = request("tiny", PROMPTS[0], "salt")
    url = f"{real.api}/v1/completions"
    answer = httpx.post(url, json=body, trust_env=False, timeout=120).json()
    (choice,) = answer["choices"]
    made = choice_of("tiny", body, ANSWER_TOKENS)
    for key, value in made.items():
        if isinstance(value, list):
            assert isinstance(choice[key], list), key
    assert made["logprobs"].keys() == choice["logprobs"].keys()
    for each in (made, choice):
        tops = each["logprobs"]["top_logprobs"]
        assert len(tops) == len(each["token_ids"]) == ANSWER_TOKENS
        assert {len(table) for table in tops} == {TOP}
        assert all(re.fullmatch(r"token_id:\d+", key) for table in tops for key in table)
        assert all(isinstance(token, int) for token in each["prompt_token_ids"])
        for token, table, own in zip(
            each["token_ids"], tops, each["logprobs"]["token_logprobs"], strict=True
        ):
            assert table[f"token_id:{token}"] == own


def test_real_vllm_answers_the_same_alone_and_together(real: Site) -> None:
    samples = [asked(ask(real, together=together)) for together in (False, True, True)]
    noise = noise_of(samples)
    REPORT.append(f"probe: {noise:.4f} nats among three rounds")
    assert noise < TOLERANCE / 4


def test_adapter_in_place_of_the_base_model_is_wrong(real: Site) -> None:
    judged = judge(asked(ask(real)), asked(ask(real, "domain")), TOLERANCE)
    REPORT.append(f"probe: an adapter's answers are {judged.distance:.2f} nats away")
    assert judged.differs


def test_salt_keeps_the_prefix_cache_out(real: Site) -> None:
    """Else a prefill that is wrong from some time on would not be seen."""
    url = f"{real.api}/v1/completions"
    long = PROMPTS[0] * 8
    hits = []
    for salt in ("one", "two", "two"):
        body = {**request("tiny", long, salt), "max_tokens": 1}
        httpx.post(url, json=body, trust_env=False, timeout=120).raise_for_status()
        page = httpx.get(f"{real.api}/metrics", trust_env=False, timeout=60).text
        found = re.findall(r"^vllm:prefix_cache_hits_total\{.*\} (\S+)$", page, re.MULTILINE)
        hits.append(sum(map(float, found)))
    assert hits[1] == hits[0]
    assert hits[2] > hits[1], json.dumps(hits)
