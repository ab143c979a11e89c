"""Write docs/reliability.md: the defaults from the model, the faults from what the tests noted.

``python tools/reliability.py --take`` takes the notes of the last runs (build/outcomes, with those
of `make chaos`) over into docs/outcomes first; ``--print`` writes to standard output instead.
"""

import json
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

import attrs

from tools import chaos_table, soak_table
from vllmd.config.model import DaemonConfig, EngineConfig, LivenessConfig, RestartConfig
from vllmd.config.reference import shown
from vllmd.config.sections import HistoryConfig, LogsConfig, NotifyConfig

ROOT = Path(__file__).parents[1]
NOTED = ROOT / "build" / "outcomes"
KEPT = ROOT / "docs" / "outcomes"
TARGET = ROOT / "docs" / "reliability.md"

TIERS = {
    "vllm-0.32-cpu": "On a real vLLM (0.32, CPU build)",
    "vllm-gpu": "On a real vLLM (0.25.1; kept weights and sleep 0.32) on H200 GPUs",
    "stand-in": "On the stand-in engine",
    "several-hosts-vllm-0.32-cpu": "On a group of hosts: a real vLLM (0.32, CPU build, two cores)",
    "several-hosts": "On a group of hosts: the stand-in engine",
}
FAILURES = "failures"
STORIES = "why"
CHAOS = "chaos"
BESIDE = "chaos-beside"
SOAK = "soak"
SECTIONS = (
    ("daemon.", DaemonConfig),
    ("history.", HistoryConfig),
    ("logs.", LogsConfig),
    ("notify.", NotifyConfig),
    ("engines.NAME.", EngineConfig),
    ("engines.NAME.restart.", RestartConfig),
    ("engines.NAME.liveness.", LivenessConfig),
)

HEAD = (ROOT / "tools" / "reliability-head.md").read_text()


def defaults() -> Iterator[str]:
    """Yield the table of every default that has a reason."""
    yield "| key | default | what it is | why |"
    yield "| --- | --- | --- | --- |"
    for prefix, cls in SECTIONS:
        for field in attrs.fields(cls):
            if field.metadata.get("reason"):
                about = field.metadata
                cells = (f"`{prefix}{field.name}`", shown(field.default))
                yield f"| {' | '.join((*cells, about['help'], about['reason']))} |"


def faults() -> Iterator[str]:
    """Yield a table for each tier that has noted outcomes."""
    for tier, title in TIERS.items():
        path = KEPT / f"{tier}.json"
        if not path.exists():
            continue
        yield f"\n### {title}\n"
        yield "| fault | outcome | shown by |"
        yield "| --- | --- | --- |"
        for row in sorted(json.loads(path.read_text()), key=lambda row: str(row["test"])):
            yield f"| {row['fault']} | {row['outcome']} | `{row['test'].partition('::')[2]}` |"


def failures() -> Iterator[str]:
    """Yield what `vllmd why` names of starts that cannot work, after how long."""
    path = KEPT / f"{FAILURES}.json"
    if not path.exists():
        return
    yield "\n### Starts that cannot work, on a real vLLM (0.32, CPU build)\n"
    yield "From the start to the cause that `vllmd why` names, on two busy cores: nearly all of"
    yield "it is the time that vLLM takes until it fails. `make failures` shows them; processes"
    yield "that are killed or stopped are in the table before this one."
    yield "\n| what is wrong | cause |"
    yield "| --- | --- |"
    for row in json.loads(path.read_text()):
        yield f"| {row['fault']} | {row['outcome']} |"


def stories() -> Iterator[str]:
    """Yield what `vllmd why` said after each failure of the scripted night."""
    path = KEPT / f"{STORIES}.json"
    if not path.exists():
        return
    yield "\n## What `vllmd why` says\n"
    yield "A night of twelve failures on the stand-in engine (the ones that cannot start print what"
    yield "a real vLLM printed: `tests/data/engine-logs`), and kills on a real vLLM; shown by"
    yield "`tests/integration/test_night.py` and `tests/engine/test_real.py`."
    for row in json.loads(path.read_text()):
        real = " (a real vLLM 0.32, CPU build)" if row["test"].startswith("tests/engine") else ""
        yield f"\n**{row['fault']}**{real}"
        yield ""
        yield from (f"> {line}\\" for line in row["outcome"].splitlines()[:-1])
        yield f"> {row['outcome'].splitlines()[-1]}"


def document() -> str:
    """Return the whole document."""
    parts = [HEAD, "## Defaults\n", *defaults(), "\n## Faults and outcomes"]
    chaos = chaos_table.table(KEPT / f"{CHAOS}.json")
    beside = chaos_table.beside(KEPT / f"{BESIDE}.json")
    soak = soak_table.table(KEPT / f"{SOAK}.json")
    return "\n".join([*parts, *faults(), *chaos, *beside, *soak, *failures(), *stories(), ""])


def main() -> None:
    """Take notes over if asked to, and write the document."""
    if "--take" in sys.argv:
        KEPT.mkdir(exist_ok=True)
        for path in NOTED.glob("*.json"):
            shutil.copy(path, KEPT / path.name)
    if "--print" in sys.argv:
        print(document(), end="")
    else:
        TARGET.write_text(document())


if __name__ == "__main__":
    main()
