"""Faults of requests."""

from tests.timelines.signals import Alike, Fault, Signal, bursts, counter, gauge, rising, shaped

CHAT = {"vllmd_engine": "chat"}
ERRORS = "vllmd_request_errors_total"
HTTP = "http_requests_total"
WAITING = {**CHAT, "reason": "capacity"}
TTFT, ITL = "vllmd_time_to_first_token_seconds", "vllmd_inter_token_latency_seconds"
QUEUE = "vllmd_request_queue_seconds_bucket"
DAY = 1440


def finished(well: float, bad: float) -> Signal:
    return counter("vllmd_requests_finished_total", well, bad, **CHAT, reason="stop")


def late(family: str, le: str, share: float, rate: float = 60.0) -> list[Signal]:
    """Return a histogram of which such a share is too late while something is wrong."""
    counts = [counter(f"{family}_count", rate, rate, **CHAT)]
    if family != TTFT:
        counts.append(counter(f"{TTFT}_count", rate, rate, **CHAT))
        counts.append(counter(f"{TTFT}_bucket", rate, rate, **CHAT, le="2.5"))
    return [*counts, counter(f"{family}_bucket", rate, rate * (1 - share), **CHAT, le=le)]


def http(bad: float, status: str) -> list[Signal]:
    return [
        counter(HTTP, 100, 100 - bad, **CHAT, status="2xx"),
        counter(HTTP, 0, bad, **CHAT, status=status),
    ]


def budgets(name: str, family: str, le: str) -> list[Fault]:
    return [
        Fault(
            f"Vllmd{name}BudgetBurn",
            "one in five is late",
            late(family, le, 0.2),
            Alike("five in a thousand are", late(family, le, 0.005)),
            before=420,
            lasts=180,
            after=420,
            flapping=f"half as many are late: Vllmd{name}BudgetSlowBurn",
        ),
        Fault(
            f"Vllmd{name}BudgetSlowBurn",
            "5 % are late, all day",
            late(family, le, 0.05),
            Alike("five in a thousand are", late(family, le, 0.005)),
            before=DAY,
            lasts=DAY,
            after=DAY,
            step=2,
        ),
    ]


def slow_queue(share: float) -> list[Signal]:
    return [
        counter(QUEUE, 60, 60 * (1 - share), **CHAT, le="10.0"),
        counter(QUEUE, 60, 60, **CHAT, le="40.0"),
        counter(QUEUE, 60, 60, **CHAT, le="+Inf"),
    ]


def often_empty(minutes: int) -> float:
    """Return a queue that each eighth scrape finds empty."""
    return 0.0 if minutes % 8 == 0 else 9.0


FAULTS = (
    *budgets("Ttft", TTFT, "2.5"),
    *budgets("Itl", ITL, "0.1"),
    Fault(
        "VllmdQueueSlow",
        "one in five waits longer than 10 s",
        slow_queue(0.2),
        Alike("one in a hundred does", slow_queue(0.01)),
    ),
    Fault(
        "VllmdQueueStuck",
        "the queue grows, and nothing finishes",
        [rising("vllmd_requests_waiting", 0, 2, **WAITING), finished(60, 0)],
        Alike(
            "it grows, and all that run finish",
            [rising("vllmd_requests_waiting", 0, 2, **WAITING), finished(60, 60)],
        ),
    ),
    Fault(
        "VllmdKvCacheSaturated",
        "the KV cache is full, and a queue that each eighth scrape finds empty",
        [
            gauge("vllmd_kv_cache_usage_ratio", 0.7, 0.99, **CHAT),
            shaped("vllmd_requests_waiting", often_empty, **WAITING),
        ],
        Alike(
            "full, and nobody waits",
            [
                gauge("vllmd_kv_cache_usage_ratio", 0.7, 0.99, **CHAT),
                gauge("vllmd_requests_waiting", 0, 0, **WAITING),
            ],
        ),
    ),
    Fault(
        "VllmdPreemptions",
        "one in three is preempted",
        [counter("vllmd_preemptions_total", 0, 20, **CHAT), finished(60, 60)],
        Alike(
            "one in a hundred",
            [counter("vllmd_preemptions_total", 0, 0.6, **CHAT), finished(60, 60)],
        ),
    ),
    Fault(
        "VllmdRequestErrors",
        "one in ten fails",
        [counter(ERRORS, 0, 6, **CHAT, reason="error"), finished(60, 60)],
        Alike("clients hang up", [counter(ERRORS, 0, 6, **CHAT, reason="abort"), finished(60, 60)]),
    ),
    Fault(
        "VllmdHttpErrors",
        "each request is answered with 500",
        http(100, "5xx"),
        Alike("each is refused with 400", http(100, "4xx")),
    ),
    Fault(
        "VllmdRequestsLost",
        "an engine ends with seven requests in flight",
        [bursts("vllmd_requests_lost_total", 7, **CHAT)],
        Alike(
            "it ends with none",
            [
                bursts("vllmd_requests_lost_total", 0, **CHAT),
                bursts("vllmd_engine_restarts_total", 1, **CHAT),
            ],
        ),
        once=True,
    ),
    Fault(
        "VllmdRejections",
        "one request a second is turned away",
        [counter(ERRORS, 0, 60, **CHAT, reason="rejected_queue_full")],
        Alike("one in a minute", [counter(ERRORS, 0, 1, **CHAT, reason="rejected_queue_full")]),
    ),
)
