"""What an engine has shown, for tests of advice."""

from array import array
from typing import Any

from tests.helpers.make import engine
from vllmd.advise.observed import Observed
from vllmd.advise.rules import ObservedEngine
from vllmd.scrape.histogram import CumulativeHistogram
from vllmd.util.units import GIB, HOUR_S

INF = float("inf")


def histogram(**at_most: float) -> CumulativeHistogram:
    """Make one of `le_0_5=3`: so many were at most 0.5; `le_inf` is last."""
    bounds = [INF if name == "le_inf" else float(name[3:].replace("_", ".")) for name in at_most]
    return CumulativeHistogram(tuple(bounds), array("d", at_most.values()))


def all_at(bound: float, count: float = 1000) -> CumulativeHistogram:
    """Make one in which all are in the bucket that ends at `bound`."""
    return CumulativeHistogram((bound / 2, bound, INF), array("d", (0.0, count, count)))


def observed(**more: Any) -> Observed:
    """Return ten hours of a busy engine, in which nothing is wrong."""
    values: dict[str, Any] = {
        "watched_s": 10.0 * HOUR_S,
        "idle_s": 1.0 * HOUR_S,
        "counts": {"finished/stop": 5000.0},
        "histograms": {
            "prompt": all_at(1000),
            "answer": all_at(500),
            "first_token_s": all_at(0.5),
            "queue_s": all_at(0.3),
            "between_tokens_s": all_at(0.025),
        },
        "highest": {"running": 12.0, "waiting": 0.0, "kv_cache": 0.4, "margin": 2.0 * GIB},
        "lowest": {"free": 1.0 * GIB},
    }
    joined = {
        key: {**values[key], **value} if isinstance(values.get(key), dict) else value
        for key, value in more.items()
    }
    return Observed(**{**values, **joined})


def case(text: str = "", *, seen: Observed | None = None, **more: Any) -> ObservedEngine:
    """Return a case of an engine with these keys."""
    values: dict[str, Any] = {
        "sizes": {"kv_cache": 20 * GIB, "kv_cache_tokens": 200_000},
        "gpu_bytes": 80.0 * GIB,
        "first_token_s": 2.5,
        **more,
    }
    return ObservedEngine(engine(text), seen or observed(), **values)
