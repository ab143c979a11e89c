"""How each version of vLLM writes its lines. Source: vllm/logger.py and decorate_logs of each."""

import json
from collections.abc import Iterable

from tests.verdicts.model import BRACKETS, NAMED, OLD, Said, Who

PIDS = {Who.API: 1, Who.CORE: 271, Who.WORKER: 402}
STAMP = "11-28 21:05:"
PLACES = {
    "0.6.6": {
        "api": "api_server.py:585",
        "core": "engine.py:366",
        "worker": "multiproc_worker_utils.py:236",
    },
    "0.7.3": {
        "api": "api_server.py:912",
        "core": "engine.py:389",
        "worker": "multiproc_worker_utils.py:242",
    },
    "0.8.5": {
        "api": "api_server.py:1043",
        "core": "core.py:396",
        "worker": "multiproc_executor.py:435",
    },
    "0.9.1": {
        "api": "api_server.py:1287",
        "core": "core.py:515",
        "worker": "multiproc_executor.py:487",
    },
    "0.10.1": {
        "api": "api_server.py:1805",
        "core": "core.py:700",
        "worker": "multiproc_executor.py:559",
    },
    "0.11.0": {
        "api": "api_server.py:1839",
        "core": "core.py:708",
        "worker": "multiproc_executor.py:597",
    },
    "0.19.0": {
        "api": "api_server.py:580",
        "core": "core.py:1108",
        "worker": "multiproc_executor.py:857",
    },
    "0.25.1": {
        "api": "api_server.py:616",
        "core": "core.py:1231",
        "worker": "multiproc_executor.py:901",
    },
    "0.32.0": {
        "api": "api_utils.py:286",
        "core": "core.py:1510",
        "worker": "multiproc_executor.py:953",
    },
    "0.33.0": {
        "api": "api_utils.py:291",
        "core": "core.py:1533",
        "worker": "multiproc_executor.py:961",
    },
}
"""Where a process logs its failure."""
BY_THE_LOGGER = ("0.32.0", "0.33.0")
"""Where the logger names the process, and what is printed without it has no name."""


def name_of(version: str, who: Who) -> str:
    """Return how a version calls a process in its lines, empty where it does not."""
    if version in OLD:
        return f"(VllmWorkerProcess pid={PIDS[who]})" if who is Who.WORKER else ""
    if version not in NAMED:
        return f"(VllmWorker rank=0 pid={PIDS[who]})" if who is Who.WORKER else ""
    core = {"0.10.1": "EngineCore_0", "0.11.0": "EngineCore_DP0"}.get(version, "EngineCore")
    worker = "VllmWorker TP0" if version == "0.10.1" else "Worker_TP0"
    name = {Who.API: "APIServer", Who.CORE: core, Who.WORKER: worker}[who]
    return f"({name} pid={PIDS[who]})"


def head(version: str, said: Said, second: int) -> str:
    """Return what stands before the text of a record."""
    place = said.place or PLACES[version][said.who.value]
    where = f"[{place}]" if version in BRACKETS else f"{place}]"
    return f"{said.level} {STAMP}{second % 60:02d} {where} "


def written(version: str, run: Iterable[Said]) -> list[str]:
    """Return the lines of a run; those of one record are joined as vLLM's formatter does, by CRLF."""
    lines: list[str] = []
    for second, said in enumerate(run):
        name = name_of(version, said.who)
        name = f"{name} " if name else ""
        if not said.level:
            printed = "" if version in BY_THE_LOGGER else name
            lines += [f"{printed}{line}" for line in said.text.split("\n")]
            continue
        start = name + head(version, said, second)
        parts = said.text.split("\n")
        lines += [f"{start}{part}\r" for part in parts[:-1]] + [start + parts[-1]]
    return lines


def written_as_json(version: str, run: Iterable[Said]) -> list[str]:
    """Return the lines of a run with VLLM_LOGGING_CONFIG's JSON: what is printed stays as it is."""
    lines: list[str] = []
    for second, said in enumerate(run):
        if not said.level:
            lines += written(version, [said])
            continue
        text, _, trace = said.text.partition("\nTraceback")
        place = said.place or PLACES[version][said.who.value]
        record = {
            "asctime": f"2026-{STAMP}{second % 60:02d},123",
            "levelname": said.level,
            "name": f"vllm.{place.split('.')[0]}",
            "process": PIDS[said.who],
            "message": text,
        }
        if trace:
            record["exc_info"] = f"Traceback{trace}"
        lines.append(json.dumps(record))
    return lines
