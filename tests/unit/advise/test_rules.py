"""Each rule: what it says, and what looks like it and must not be said."""

from typing import Any

import pytest

from tests.helpers.advise import all_at, case, observed
from vllmd.advise.rules import MOST, RULES, Advice, advise
from vllmd.util.units import GIB, HOUR_S

QUEUED: dict[str, Any] = {"queued_s": 3.0 * HOUR_S}
FULL: dict[str, Any] = {
    "queued_s": 3.0 * HOUR_S,
    "queued_full_s": 3.0 * HOUR_S,
    "highest": {"kv_cache": 1.0},
    "counts": {"preemptions": 400.0},
}
REJECTED = "rejected/max_num_queued_reqs"
SPECULATIVE = (
    '[engines.chat.flags]\nspeculative-config = { method = "ngram", num_speculative_tokens = 3 }'
)


def only(*found: Advice) -> Advice:
    (one,) = found
    return one


def keys(*given: Any, **more: Any) -> list[str]:
    return [".".join(each.key) for each in advise(case(*given, **more))]


def test_a_healthy_engine_is_advised_nothing() -> None:
    text = "max_num_seqs = 64\ngpu_memory_utilization = 0.9\nmax_model_len = 8192"
    assert advise(case(text)) == ()


def test_more_at_once_where_requests_wait_beside_an_empty_cache() -> None:
    seen = observed(**QUEUED, highest={"running": 16.0, "kv_cache": 0.3})
    found = only(*advise(case("max_num_seqs = 16", seen=seen)))
    assert (found.key, found.now, found.value) == (("max_num_seqs",), 16, 32)
    assert "requests waited for 3h of 10h (30%)" in found.why
    assert "30% full at most" in found.why
    assert "32 requests are computed at once" in found.effect


@pytest.mark.parametrize(
    "more",
    [
        {"highest": {"running": 15.0, "kv_cache": 0.3}},  # the limit was not reached
        {"highest": {"running": 16.0, "kv_cache": 0.85}},  # the cache would not do
        {"highest": {"running": 16.0, "kv_cache": 0.3}, "queued_s": 60.0},  # hardly ever
    ],
)
def test_more_at_once_is_not_said_for_what_only_looks_like_it(more: dict[str, Any]) -> None:
    assert advise(case("max_num_seqs = 16", seen=observed(**{**QUEUED, **more}))) == ()


def test_the_limit_is_that_of_all_data_parallel_ranks() -> None:
    text = "max_num_seqs = 16\n[engines.chat.flags]\ndata-parallel-size = 2"
    half = observed(**QUEUED, highest={"running": 16.0, "kv_cache": 0.3})
    assert advise(case(text, seen=half)) == ()
    whole = observed(**QUEUED, highest={"running": 32.0, "kv_cache": 0.3})
    found = only(*advise(case(text, seen=whole)))
    assert found.value == 32
    assert "64 requests are computed at once" in found.effect


def test_no_limit_that_is_not_configured_is_guessed() -> None:
    seen = observed(**QUEUED, highest={"running": 256.0, "kv_cache": 0.3})
    assert advise(case(seen=seen)) == ()


def test_more_memory_where_the_cache_is_full_and_the_gpu_is_not() -> None:
    seen = observed(**FULL, lowest={"free": 12.0 * GIB})
    found = advise(case("max_num_seqs = 64\ngpu_memory_utilization = 0.8", seen=seen))
    assert [each.key for each in found] == [("gpu_memory_utilization",)]
    assert found[0].value == 0.92
    assert "a KV cache of 296,000 tokens instead of 200,000 (+48%)" in found[0].effect
    assert "400 of 5,000 requests were computed again" in found[0].why


def test_fewer_at_once_where_the_gpu_has_no_memory_left() -> None:
    seen = observed(
        **FULL,
        lowest={"free": 1.0 * GIB},
    )
    found = only(*advise(case("max_num_seqs = 64\ngpu_memory_utilization = 0.9", seen=seen)))
    assert (found.key, found.value) == (("max_num_seqs",), 9)


def test_a_share_that_would_not_start_again_is_lowered_first() -> None:
    seen = observed(highest={"margin": -3.0 * GIB}, counts={"finished/stop": 3.0})
    found = only(*advise(case("gpu_memory_utilization = 0.9\nmax_model_len = 8192", seen=seen)))
    assert found.value == 0.85
    assert "3.0 GiB of its share were missing" in found.why
    assert "a KV cache of 160,000 tokens instead of 200,000" in found.risk
    well = observed(highest={"margin": 1.0})
    assert advise(case("gpu_memory_utilization = 0.9\nmax_model_len = 8192", seen=well)) == ()


@pytest.mark.parametrize("length", ["max_model_len = 163840", "max_model_len = 'auto'", ""])
def test_no_share_is_named_with_which_vllm_may_not_start(length: str) -> None:
    seen = observed(highest={"margin": -3.0 * GIB})
    found = advise(case(f"gpu_memory_utilization = 0.9\n{length}", seen=seen))
    assert ("gpu_memory_utilization",) not in [each.key for each in found]


def test_memory_that_may_be_meant_for_another_engine_is_not_given_away() -> None:
    seen = observed(**FULL, lowest={"free": 12.0 * GIB})
    found = advise(case("gpu_memory_utilization = 0.8", seen=seen, alone=False))
    assert [each.key for each in found] == []


def test_a_change_that_changes_nothing_is_not_named() -> None:
    seen = observed(**QUEUED, highest={"running": 1.0, "kv_cache": 0.7})
    assert advise(case("max_num_seqs = 1", seen=seen)) == ()


def test_a_queue_that_turns_away_beside_room_is_made_longer() -> None:
    text = "[engines.chat.flags]\nmax-num-queued-reqs = 32"
    seen = observed(counts={REJECTED: 300.0})
    found = only(*advise(case(text, seen=seen)))
    assert (found.key, found.value) == (("flags", "max-num-queued-reqs"), 64)
    late = observed(counts={REJECTED: 300.0}, histograms={"first_token_s": all_at(5.0)})
    assert advise(case(text, seen=late)) == ()


def test_a_queue_in_which_clients_give_up_gets_an_end() -> None:
    given_up = {"finished/abort": 800.0, REJECTED: 0.0}
    seen = observed(**QUEUED, counts=given_up, histograms={"queue_s": all_at(20.0)})
    found = only(*advise(case("max_num_seqs = 64", seen=seen)))
    # 5,000 answers in nine busy hours: one in 6.5 s, so one more may wait for 2.5 s
    assert (found.key, found.now, found.value) == (("flags", "max-num-queued-reqs"), None, 65)
    older = observed(**QUEUED, counts={"finished/abort": 800.0}, histograms={"queue_s": all_at(20)})
    assert advise(case("max_num_seqs = 64", seen=older)) == (), "its vLLM cannot"


def test_drafts_are_made_as_long_as_they_are_taken() -> None:
    counts = {"drafts": 20_000.0, "accepted/0": 15_000.0, "accepted/1": 9_000.0}
    found = only(*advise(case(SPECULATIVE, seen=observed(counts=counts | {"accepted/2": 2_000.0}))))
    assert found.key == ("flags", "speculative-config", "num_speculative_tokens")
    assert (found.now, found.value) == (3, 2)
    assert "75%, 45%, 10%" in found.why
    useless = observed(counts=dict.fromkeys(("accepted/0", "accepted/1"), 900.0) | {"drafts": 20e3})
    found = only(*advise(case(SPECULATIVE, seen=useless)))
    assert (found.key, found.value) == (("flags", "speculative-config"), None)
    useful = observed(counts={"drafts": 20e3, **{f"accepted/{n}": 12e3 for n in range(3)}})
    assert advise(case(SPECULATIVE, seen=useful)) == ()


def test_larger_steps_where_a_prompt_takes_many_and_nobody_waits() -> None:
    text = "[engines.chat.flags]\nmax-num-batched-tokens = 1024"
    late = {"first_token_s": all_at(8.0), "prompt": all_at(6000)}
    found = only(*advise(case(text, seen=observed(histograms=late))))
    assert found.value == 8192
    waits = observed(histograms={**late, "queue_s": all_at(6.0)})
    assert advise(case(text, seen=waits)) == ()


def test_a_context_that_nobody_uses_and_the_cache_cannot_hold_is_made_shorter() -> None:
    found = only(*advise(case("max_model_len = 131072")))
    assert found.value == 4096
    assert "66% of the KV cache" in found.why
    roomy = {"kv_cache": 20 * GIB, "kv_cache_tokens": 2_000_000}
    assert advise(case("max_model_len = 131072", sizes=roomy)) == ()
    above = observed(histograms={"prompt": all_at(float("inf"))})
    assert advise(case("max_model_len = 131072", seen=above)) == ()


@pytest.mark.parametrize("less", [{"watched_s": 600.0}, {"counts": {"finished/stop": 10.0}}])
def test_too_little_says_nothing(less: dict[str, Any]) -> None:
    seen = observed(**{**QUEUED, "highest": {"running": 16.0, "kv_cache": 0.3}, **less})
    assert advise(case("max_num_seqs = 16", seen=seen)) == ()


def test_at_most_three_changes_and_one_for_a_key() -> None:
    text = (
        "max_num_seqs = 64\ngpu_memory_utilization = 0.9\nmax_model_len = 131072\n"
        "[engines.chat.flags]\nmax-num-batched-tokens = 512\n"
        'speculative-config = { method = "ngram", num_speculative_tokens = 3 }'
    )
    seen = observed(
        queued_s=3.0 * HOUR_S,
        queued_full_s=3.0 * HOUR_S,
        highest={"kv_cache": 1.0, "margin": -GIB},
        counts={"preemptions": 400.0, "drafts": 20e3},
        lowest={"free": 20.0 * GIB},
        histograms={"first_token_s": all_at(8.0)},
    )
    found = advise(case(text, seen=seen))
    assert len(found) == MOST
    assert len({each.key for each in found}) == MOST
    assert found[0].key == ("gpu_memory_utilization",)
    assert found[0].value < 0.9, "what would not start goes before what would be faster"


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.__name__)
def test_a_rule_says_nothing_of_what_was_not_seen(rule: Any) -> None:
    text = (
        "max_num_seqs = 64\ngpu_memory_utilization = 0.9\nmax_model_len = 131072\n"
        "[engines.chat.flags]\nmax-num-batched-tokens = 512\nmax-num-queued-reqs = 3\n"
        'speculative-config = { method = "ngram", num_speculative_tokens = 3 }'
    )
    bare = observed(counts={}, histograms={}, highest={}, lowest={})
    bare = type(bare)(watched_s=bare.watched_s, counts=bare.counts)
    assert rule(case(text, seen=bare, sizes={}, gpu_bytes=None)) is None
