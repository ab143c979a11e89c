"""What was measured of a version, for tests of comparisons."""

from typing import Any

from vllmd.comparing.bench import LoadSpec, Round
from vllmd.comparing.record import Measured

ANSWERS = tuple("abcdefghij")


def a_round(rate: float = 100.0, **more: Any) -> Round:
    values: dict[str, Any] = {
        "failed": 0,
        "tokens_per_s": rate,
        "first_token_s": 0.1,
        "first_token_p95_s": 0.3,
        "between_tokens_p95_s": 0.02,
        "prompt_tokens": 5000,
        "answers": ANSWERS,
    }
    return Round(**{**values, **more})


def measured(*rounds: Round, version: str = "0.31.0", **more: Any) -> Measured:
    values: dict[str, Any] = {
        "engine": "chat",
        "version": version,
        "model": "/srv/m",
        "load": LoadSpec(),
        "program": "/bin/true",
        "at": 1000.0,
        "rounds": rounds or (a_round(100.0), a_round(102.0), a_round(98.0)),
        "again": ANSWERS,
    }
    return Measured(**{**values, **more})
