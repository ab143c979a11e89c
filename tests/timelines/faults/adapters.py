"""Faults of LoRA adapters."""

from tests.timelines.signals import Alike, Fault, brief, gauge

CHAT = {"vllmd_engine": "chat"}
SQL = {**CHAT, "adapter": "sql"}

FAULTS = (
    Fault(
        "VllmdAdapterNotLoaded",
        "an adapter is not loaded",
        [gauge("vllmd_lora_adapter_loaded", 1, 0, **SQL), gauge("vllmd_engine_up", 1, 1, **CHAT)],
        Alike(
            "its engine loads, and has none yet",
            [
                gauge("vllmd_lora_adapter_loaded", 1, 0, **SQL),
                gauge("vllmd_engine_up", 1, 0, **CHAT),
            ],
        ),
    ),
    Fault(
        "VllmdAdapterStale",
        "an adapter's files changed and were not loaded",
        [gauge("vllmd_lora_adapter_stale", 0, 1, **SQL), gauge("vllmd_engine_up", 1, 1, **CHAT)],
        Alike(
            "they are loaded within minutes",
            [
                brief("vllmd_lora_adapter_stale", 0, 1, 10, **SQL),
                gauge("vllmd_engine_up", 1, 1, **CHAT),
            ],
        ),
    ),
)
