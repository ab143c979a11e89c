"""What the cases are made of."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import attrs

from tests.helpers.doctor import case, m8b
from tests.helpers.make import DATA
from vllmd.demo.adapter import write_adapter
from vllmd.doctor.case import Case, Model
from vllmd.doctor.finding import FindingSeverity
from vllmd.doctor.seen import GpuFacts
from vllmd.installing.flags import FlagTable, read
from vllmd.installing.layout import InstallRecord
from vllmd.util.units import GIB

ERROR, WARNING, INFO = FindingSeverity.ERROR, FindingSeverity.WARNING, FindingSeverity.INFO
SMALL_GPU = (GpuFacts(24 * GIB, 0, 24 * GIB),)
NOWHERE = Model()
T4 = GpuFacts(16 * GIB, 0, 16 * GIB, (7, 5))
A100 = GpuFacts(80 * GIB, 0, 80 * GIB, (8, 0))
CUDA = InstallRecord("0.32.0", "0.32.0", "2.13.0", "13.0", "3.12", "/e/bin/vllm", 1.0)
CPU = attrs.evolve(CUDA, name="0.32.0+cpu", cuda=None)
REAL = read(json.loads((DATA / "flags" / "vllm-0.32-cpu.json").read_text()))
LORA = '[engines.chat.lora]\nmodules = {{ sql = "{path}" }}\n'
Make = Callable[[Path], Case]


def chat_model(folder: Path, **tokenizer: str) -> Model:
    (folder / "tokenizer_config.json").write_text(json.dumps(tokenizer))
    return m8b(folder)


def adapter(folder: Path, rank: int) -> str:
    write_adapter(folder / "sql", rank=rank)
    return LORA.format(path=folder / "sql")


def lora_case(folder: Path, rank: int) -> Case:
    made = case(adapter(folder, rank))
    return attrs.evolve(made, model=attrs.evolve(made.model, tensors={}))


def other(
    engine: str = "",
    *,
    found: bool = True,
    hub: str | None = None,
    unreadable: str | None = None,
    installed: InstallRecord | None = None,
    flag_table: FlagTable | None = None,
    **more: Any,
) -> Case:
    """Return an engine of whose program, model and hub this is known."""
    return attrs.evolve(
        case(engine, **more),
        found=found,
        hub=hub,
        unreadable=unreadable,
        installed=installed,
        flag_table=flag_table,
    )


KEPT = "preload = true"
SLEEPS = "sleep = { level = 1 }"
TWO_GPUS = "gpu_memory_utilization = 0.988\nflags = { tensor-parallel-size = 2 }"
OLD = attrs.evolve(CUDA, version="0.30.2")
AWQ, FP8 = ({"quant_method": method} for method in ("awq", "fp8"))
