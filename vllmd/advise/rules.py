"""Which changes follow from what was seen: one function for each. Pure.

A rule gives figures, never a guess: where one that it needs is not known, or too little was seen,
it says nothing. Thresholds that have no source are ours.
"""

import math
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import attrs

from vllmd.advise.observed import Observed
from vllmd.config.memory import share_of
from vllmd.config.model import EngineConfig
from vllmd.util.units import GIB, HOUR_S, format_bytes, format_duration

MIN_WATCHED_S = HOUR_S
MIN_REQUESTS = 200
"""Less says nothing about the next day."""
MOST = 3
"""Changes that are named at once: of more, nobody knows which one helped."""

FLAGS = "flags"
MAX_NUM_SEQS, SHARE, LENGTH = "max_num_seqs", "gpu_memory_utilization", "max_model_len"
QUEUED, BATCHED = "max-num-queued-reqs", "max-num-batched-tokens"
SPECULATION, DRAFTED = "speculative-config", "num_speculative_tokens"
REJECTED = "rejected/max_num_queued_reqs"


@attrs.frozen
class ObservedEngine:
    """An engine, what it has shown with the command that it has, and where it runs."""

    engine: EngineConfig
    seen: Observed
    sizes: Mapping[str, int]
    """What it said of its memory: `kv_cache` (bytes on each GPU) and `kv_cache_tokens`."""
    gpu_bytes: float | None
    """All memory that vLLM takes its share of, on the smallest of its GPUs."""
    first_token_s: float
    """A first token that takes longer is late."""
    alone: bool = True
    """Whether no other engine is configured for its GPUs: what is free there may be meant for one
    that is stopped, or sleeps."""

    @property
    def at_once(self) -> int | None:
        """How many requests may be computed at once, over all data-parallel ranks, if it is set."""
        most, ranks = self.engine.max_num_seqs, self.engine.flags.get("data-parallel-size", 1)
        return most * ranks if most and isinstance(ranks, int) else None

    @property
    def full(self) -> float:
        """The largest share of the KV cache that was in use."""
        return self.seen.highest.get("kv_cache", 1.0)

    @property
    def queued_share(self) -> float:
        """The share of its time in which requests waited."""
        return self.seen.queued_s / self.seen.watched_s if self.seen.watched_s else 0.0

    def queue_text(self) -> str:
        """Say for how long requests waited."""
        wait = self.seen.quantile("queue_s", 0.95)
        text = f"requests waited for {format_duration(self.seen.queued_s)}"
        text += f" of {format_duration(self.seen.watched_s)} ({self.queued_share:.0%})"
        return text + (f", 5 % of them longer than {seconds(wait)}" if wait is not None else "")


@attrs.frozen
class Advice:
    """One change: figures that speak for it, what it brings, and what it may cost."""

    key: tuple[str, ...]
    """Where it is in the engine's table, such as ``("flags", "max-num-queued-reqs")``."""
    now: Any
    """None if it is not set."""
    value: Any
    """None if the key is to be taken out."""
    why: str
    effect: str
    risk: str


Rule = Callable[[ObservedEngine], Advice | None]


def advise(case: ObservedEngine) -> tuple[Advice, ...]:
    """Return at most `MOST` changes, the most urgent first; of two for one key, the first."""
    chosen: dict[tuple[str, ...], Advice] = {}
    for advice in _all(case):
        if advice.value != advice.now:
            chosen.setdefault(advice.key, advice)
    return tuple(chosen.values())[:MOST]


def enough(seen: Observed) -> bool:
    """Tell whether enough was seen to say anything."""
    return seen.watched_s >= MIN_WATCHED_S and seen.finished >= MIN_REQUESTS


def _all(case: ObservedEngine) -> Iterator[Advice]:
    if case.seen.watched_s >= MIN_WATCHED_S and (found := too_large_to_start(case)):
        yield found
    for rule in RULES if enough(case.seen) else ():
        if found := rule(case):
            yield found


def too_large_to_start(case: ObservedEngine) -> Advice | None:
    """It serves, and would not start again: at no moment was there room for its share."""
    margin, total = case.seen.highest.get("margin"), case.gpu_bytes
    share = case.engine.gpu_memory_utilization
    if margin is None or total is None or share is None or margin >= 0:
        return None
    lower = math.floor((share + (margin - GIB / 4) / total) * 100) / 100
    tokens, size = case.sizes.get("kv_cache_tokens"), case.sizes.get("kv_cache")
    length = case.engine.max_model_len
    if not tokens or not size or not isinstance(length, int):
        return None
    left = tokens * (1 - (share - lower) * total / size)
    if left < length:  # vLLM refuses to start with less
        return None
    return Advice(
        (SHARE,),
        share,
        lower,
        f"it would not start again: {format_bytes(-margin)} of its share were missing at the best "
        f"moment of {format_duration(case.seen.watched_s)}",
        "a start finds the memory that it asks for",
        f"a KV cache of {left:,.0f} tokens instead of {tokens:,}",
    )


def more_memory(case: ObservedEngine) -> Advice | None:
    """The KV cache is full, requests wait for it or are preempted, and the GPU has memory left."""
    free, total = case.seen.lowest.get("free"), case.gpu_bytes
    share = share_of(case.engine)
    tokens, size = case.sizes.get("kv_cache_tokens"), case.sizes.get("kv_cache")
    short = _preempts(case) or case.seen.queued_full_s >= 0.05 * case.seen.watched_s
    if not short or not case.alone or free is None or total is None or not tokens or not size:
        return None
    reserve = max(2 * GIB, 0.03 * total)
    higher = math.floor((share + (free - reserve) / total) * 100) / 100
    if higher < share + 0.02 or higher > 0.98:
        return None
    more = (higher - share) * total
    return Advice(
        (SHARE,),
        case.engine.gpu_memory_utilization,
        higher,
        f"{_shortage(case)}; {format_bytes(free)} of the GPU were free at the least",
        f"a KV cache of {tokens * (1 + more / size):,.0f} tokens instead of {tokens:,} "
        f"(+{more / size:.0%})",
        f"{format_bytes(free - more)} are left for what else uses the GPU; its next start takes "
        "them",
    )


def fewer_at_once(case: ObservedEngine) -> Advice | None:
    """Requests are computed twice: so many at once do not fit into the KV cache."""
    most, all_ranks = case.engine.max_num_seqs, case.at_once
    peak = case.seen.highest.get("running")
    if most is None or all_ranks is None or not peak or not _preempts(case) or more_memory(case):
        return None
    fit = int(most * 0.8 * min(1.0, peak / all_ranks))
    if fit < 1:
        return None
    return Advice(
        (MAX_NUM_SEQS,),
        most,
        fit,
        _shortage(case),
        "fewer requests are computed twice; those that would be preempted wait in the queue",
        "the queue grows: a first token comes later when many ask at once",
    )


def more_at_once(case: ObservedEngine) -> Advice | None:
    """Requests wait although the KV cache has room: too few may be computed at once."""
    most, all_ranks, seen = case.engine.max_num_seqs, case.at_once, case.seen
    peak = seen.highest.get("running")
    if most is None or all_ranks is None or peak is None or peak < all_ranks:
        return None
    with_room_s = seen.queued_s - seen.queued_full_s
    if not 0 < case.full < 0.8 or with_room_s < 0.05 * seen.watched_s:
        return None
    more = int(min(2 * most, most * 0.9 / case.full))
    if more <= most:
        return None
    between = seen.quantile("between_tokens_s", 0.95)
    slower = f" (95 % now come within {seconds(between)})" if between is not None else ""
    return Advice(
        (MAX_NUM_SEQS,),
        most,
        more,
        f"{case.queue_text()}, while {peak:.0f} were computed at once, which is the limit, and the "
        f"KV cache was {case.full:.0%} full at most",
        f"{all_ranks * more // most} requests are computed at once, with the same KV cache some "
        f"{case.full * more / most:.0%} full",
        f"each token takes longer in a larger batch{slower}; larger CUDA graphs take memory at "
        "the next start",
    )


def longer_queue(case: ObservedEngine) -> Advice | None:
    """Requests are turned away although there is room."""
    limit, rejected = case.engine.flags.get(QUEUED), case.seen.counts.get(REJECTED, 0.0)
    late = case.seen.quantile("first_token_s", 0.95)
    asked = rejected + case.seen.finished
    if not isinstance(limit, int) or limit < 1 or rejected < 0.01 * asked or late is None:
        return None
    if late > case.first_token_s / 2 or case.full >= 0.8:
        return None
    return Advice(
        (FLAGS, QUEUED),
        limit,
        limit * 2,
        f"{rejected:,.0f} of {asked:,.0f} requests ({rejected / asked:.1%}) were turned away with "
        f"503, while 95 % of the first tokens came within {seconds(late)} and the KV cache was "
        f"{case.full:.0%} full at most",
        "requests of such a burst are answered",
        f"they wait longer: {seconds(case.first_token_s)} for a first token is the limit that this "
        "is judged by",
    )


def bounded_queue(case: ObservedEngine) -> Advice | None:
    """Clients give up in a queue that has no end: better a 503 at once, which is retried."""
    seen, most = case.seen, case.at_once
    known = REJECTED in seen.counts  # its vLLM can turn requests away, and counts them, be it none
    given_up, wait = seen.counts.get("finished/abort", 0.0), seen.quantile("queue_s", 0.95)
    if not known or most is None or case.engine.flags.get(QUEUED) is not None or wait is None:
        return None
    if given_up < 0.05 * seen.finished or wait <= case.first_token_s:
        return None
    busy_s = max(1.0, seen.watched_s - seen.idle_s)
    limit = most + math.ceil((seen.finished - given_up) / busy_s * case.first_token_s)
    return Advice(
        (FLAGS, QUEUED),
        None,
        limit,
        f"{given_up:,.0f} of {seen.finished:,.0f} requests ({given_up / seen.finished:.1%}) were "
        f"given up by their clients; {case.queue_text()}",
        f"at most {limit} requests run and wait; more are answered with 503 at once, so "
        "that a load balancer or an SDK tries elsewhere, or later",
        "in a burst, requests are turned away that would have been answered late",
    )


def shorter_drafts(case: ObservedEngine) -> Advice | None:
    """Speculation drafts tokens that are not taken: they are computed for nothing."""
    config, drafts = case.engine.flags.get(SPECULATION), case.seen.counts.get("drafts", 0.0)
    drafted = config.get(DRAFTED) if isinstance(config, dict) else None
    if not isinstance(config, dict) or not isinstance(drafted, int) or drafts < 10_000:
        return None
    taken = [case.seen.counts.get(f"accepted/{n}", 0.0) / drafts for n in range(drafted)]
    useful = sum(1 for share in taken if share >= 0.3)
    if useful >= drafted:
        return None
    shares = ", ".join(f"{share:.0%}" for share in taken)
    key = (FLAGS, SPECULATION, DRAFTED) if useful else (FLAGS, SPECULATION)
    return Advice(
        key,
        drafted if useful else dict(config),
        useful or None,
        f"of {drafts:,.0f} drafts the tokens were taken in {shares} of cases, by their position",
        f"{drafted - useful} of {drafted} tokens of each draft are not computed any more"
        if useful
        else "no drafts are computed; their model's memory goes to the KV cache",
        "none for the answers, which are the same; measure the time between tokens before and "
        "after",
    )


def larger_steps(case: ObservedEngine) -> Advice | None:
    """Prompts take several steps, and the first token is late, although nobody waits."""
    batched, late = case.engine.flags.get(BATCHED), case.seen.quantile("first_token_s", 0.95)
    prompt, wait = case.seen.quantile("prompt", 0.95), case.seen.quantile("queue_s", 0.95)
    if not isinstance(batched, int) or late is None or prompt is None or wait is None:
        return None
    value = min(16384, 2 ** math.ceil(math.log2(max(prompt, 1.0))))
    if late <= case.first_token_s or wait > 0.2 * late or prompt <= batched or value <= batched:
        return None
    return Advice(
        (FLAGS, BATCHED),
        batched,
        value,
        f"5 % of the first tokens took longer than {seconds(late)}, of which waiting was "
        f"{seconds(wait)}; 5 % of the prompts have more than {prompt:,.0f} tokens, which takes "
        f"{math.ceil(prompt / batched)} steps",
        f"such a prompt takes {math.ceil(prompt / value)} steps",
        "answers under way pause for longer while a prompt is computed; larger steps take memory "
        "at the next start",
    )


def shorter_context(case: ObservedEngine) -> Advice | None:
    """Nobody uses the context, and one request of its full length would push out all others."""
    length, tokens = case.engine.max_model_len, case.sizes.get("kv_cache_tokens")
    prompt, answer = case.seen.most("prompt"), case.seen.most("answer")
    if not isinstance(length, int) or not tokens or prompt is None or answer is None:
        return None
    used = prompt + answer
    if case.seen.finished < 5 * MIN_REQUESTS or not math.isfinite(used) or tokens >= 4 * length:
        return None
    value = max(1024, 2 ** math.ceil(math.log2(max(2 * used, 1.0))))
    if value > length / 2:
        return None
    return Advice(
        (LENGTH,),
        length,
        value,
        f"no prompt of {case.seen.finished:,.0f} requests was above {prompt:,.0f} tokens, no "
        f"answer above {answer:,.0f}; one of the full length takes {length / tokens:.0%} of the "
        "KV cache",
        f"no request can take more than {value / tokens:.0%} of it",
        f"a longer one is refused with 400, where today {length:,} tokens are accepted",
    )


RULES: tuple[Rule, ...] = (
    more_memory,
    fewer_at_once,
    more_at_once,
    longer_queue,
    bounded_queue,
    shorter_drafts,
    larger_steps,
    shorter_context,
)
"""The most urgent first."""


def seconds(value: float) -> str:
    """Write a latency."""
    return f"{value * 1000:.0f} ms" if value < 1 else f"{value:.3g} s"


def _preempts(case: ObservedEngine) -> bool:
    preempted = case.seen.count("preemptions")
    return preempted >= 20 and preempted >= 0.01 * case.seen.finished


def _shortage(case: ObservedEngine) -> str:
    preempted, finished = case.seen.count("preemptions"), case.seen.finished
    said = [f"the KV cache was {case.full:.0%} full"]
    if _preempts(case):
        said.append(f"{preempted:,.0f} of {finished:,.0f} requests were computed again")
    if case.seen.queued_full_s:
        said.append(f"requests waited for it for {format_duration(case.seen.queued_full_s)}")
    return ", ".join(said)
