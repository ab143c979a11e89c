"""Tokens that a real vLLM was paid for: what its clients were told."""

import json
from typing import Any

from tests.engine.conftest import REPORT
from tests.helpers.site import Site, wait_for


def counted(site: Site) -> tuple[int, int, int]:
    shown = json.loads(site.vllmd("cost", "--since", "1h", "--json").stdout)
    engine: dict[str, Any] = next(e for e in shown["engines"] if e["engine"] == "tiny")
    return engine["prompt_tokens"], engine["generation_tokens"], engine["requests"]


def test_cost_counts_the_tokens_that_clients_were_told(real: Site) -> None:
    real.samples("vllm:prompt_tokens_total")  # a page that is of now
    before = counted(real)
    prompt = generation = 0
    for number, model in enumerate(("tiny", "domain") * 3):
        answer = real.client().completions.create(
            model=model, prompt="word " * (number + 3), max_tokens=5 + number
        )
        assert answer.usage is not None
        prompt += answer.usage.prompt_tokens
        generation += answer.usage.completion_tokens

    # the canary of this site asks too, one token at a time: it shows in the count of requests
    def added() -> tuple[int, int, int]:
        now = counted(real)
        return now[0] - before[0], now[1] - before[1], now[2] - before[2]

    wait_for("the tokens", lambda: added()[1] >= generation, 20)
    prompts, generated, requests = added()
    canaries = requests - 6
    assert canaries <= 3
    assert generated - canaries == generation
    assert prompts - canaries == prompt
    REPORT.append(
        f"cost: {prompt} tokens in and {generation} out, as clients were told, {canaries} canaries"
    )
