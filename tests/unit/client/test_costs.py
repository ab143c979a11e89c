from decimal import Decimal

from vllmd.client.costs import CostTracker
from vllmd.client.interface import Reply, TokenUsage
from vllmd.config.cost import ApiPrice

USAGE = TokenUsage(input_tokens=1_000_000, output_tokens=500_000, cached_input_tokens=400_000)


def reply(provider: str, model: str) -> Reply:
    return Reply("x", model, provider, USAGE)


def test_an_answer_costs_what_its_tokens_do() -> None:
    tracker = CostTracker()
    # 0.6 M at 0.15, 0.4 M cached at 0.075, 0.5 M out at 0.60
    assert tracker.add(reply("openai", "gpt-4o-mini")) == Decimal("0.42")
    assert tracker.add(reply("openai", "gpt-4o-mini-2024-07-18")) == Decimal("0.42")
    assert tracker.total == Decimal("0.84")


def test_what_is_self_hosted_costs_no_dollar() -> None:
    tracker = CostTracker()
    assert tracker.add(reply("vllm", "gpt-4o")) == 0
    assert "self-hosted" in tracker.summary()
    assert "USD" not in tracker.summary()


def test_a_model_that_is_not_known_is_said_to_be() -> None:
    tracker = CostTracker()
    tracker.add(reply("openai", "gpt-4o-mini"))
    assert tracker.add(reply("openai", "gpt-99")) is None
    assert tracker.add(reply("openai", "gpt-99")) is None
    assert tracker.unknown == {"gpt-99"}
    assert tracker.total == Decimal("0.42")
    assert "gpt-99: 2 answers, 2,000,000 tokens in, 1,000,000 out, price not known" in (
        tracker.summary()
    )


def test_own_prices_go_before_those_that_are_known() -> None:
    tracker = CostTracker({"gpt-4o-mini": ApiPrice(Decimal(1), Decimal(2))})
    assert tracker.add(reply("openai", "gpt-4o-mini")) == Decimal(2)
