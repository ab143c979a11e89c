"""Faults of GPU memory."""

from tests.timelines.signals import Alike, Fault, Signal, brief, gauge, rising, shaped

CHAT = {"vllmd_engine": "chat"}
GPU = {"gpu": "0", "uuid": "GPU-0"}
OWNED = "vllmd_gpu_memory_by_owner_bytes"
GROWTH = "vllmd_engine_gpu_memory_growth_bytes"
GIB = 2.0**30
WANTED = gauge("vllmd_engine_wanted", 1, 1, **CHAT)


def owned(owner: str, well: float, bad: float) -> Signal:
    return gauge(OWNED, well, bad, **GPU, owner=owner, vllmd_engine="")


def engine(by: float) -> list[Signal]:
    """Return the series of an engine that holds 60 GiB, and grows by so much a minute."""
    return [
        rising(OWNED, 60 * GIB, by, **GPU, owner="engine", **CHAT),
        rising(GROWTH, 0.3 * GIB, by, **CHAT),
    ]


FAULTS = (
    Fault(
        "VllmdVramOrphan",
        "a dead engine's process holds 60 GiB",
        [owned("orphan", 0, 60 * GIB)],
        Alike(
            "a context that goes by itself",
            [brief(OWNED, 0, GIB, 1, **GPU, owner="orphan", vllmd_engine="")],
        ),
        flapping="it goes by itself",
    ),
    Fault(
        "VllmdVramForeign",
        "a notebook on an engine's GPU",
        [
            owned("foreign", 0, 8 * GIB),
            gauge(OWNED, 60 * GIB, 60 * GIB, **GPU, owner="engine", **CHAT),
        ],
        Alike("one on a GPU that no engine has", [owned("foreign", 0, 8 * GIB)]),
    ),
    Fault(
        "VllmdEngineAwaitsMemory",
        "an engine waits for memory that another process has",
        [
            WANTED,
            gauge("vllmd_engine_awaited_memory_bytes", None, GIB, **CHAT, gpu="0", holder="x"),
            gauge("vllmd_engine_state", 1, 0, **CHAT, state="ready"),
            gauge("vllmd_engine_state", 0, 1, **CHAT, state="stopped"),
        ],
        Alike(
            "for a minute",
            [
                WANTED,
                shaped(
                    "vllmd_engine_awaited_memory_bytes",
                    lambda m: GIB if m == 1 else None,
                    **CHAT,
                    gpu="0",
                    holder="x",
                ),
                brief("vllmd_engine_state", 1, 0, 1, **CHAT, state="ready"),
            ],
        ),
        flapping="the engine starts in between",
    ),
    Fault(
        "VllmdVramRestartWontFit",
        "an engine would not find room again",
        [
            gauge("vllmd_gpu_memory_restart_margin_bytes", GIB, -4 * GIB, **GPU, **CHAT),
            gauge("vllmd_engine_up", 1, 1, **CHAT),
        ],
        Alike(
            "it has ended, and waits for that room",
            [
                gauge("vllmd_gpu_memory_restart_margin_bytes", GIB, -4 * GIB, **GPU, **CHAT),
                gauge("vllmd_engine_up", 1, 0, **CHAT),
            ],
        ),
    ),
    Fault(
        "VllmdVramLeak",
        "an engine grows by 60 MiB a minute",
        engine(60 * 2**20),
        Alike(
            "it took 2 GiB at once, for a longer prompt",
            [
                gauge(OWNED, 60 * GIB, 62 * GIB, **GPU, owner="engine", **CHAT),
                gauge(GROWTH, 0.3 * GIB, 2.3 * GIB, **CHAT),
            ],
        ),
        before=180,
        lasts=240,
        after=180,
    ),
    Fault(
        "VllmdVramExhaustion",
        "an engine grows by 30 MiB a minute, and 4 GiB are free",
        [*engine(30 * 2**20), rising("vllmd_gpu_memory_free_bytes", 4 * GIB, -15 * 2**20, **GPU)],
        Alike(
            "a notebook takes what is free",
            [*engine(0), rising("vllmd_gpu_memory_free_bytes", 4 * GIB, -15 * 2**20, **GPU)],
        ),
        before=180,
        lasts=240,
        after=180,
        flapping="what is given back does not grow",
    ),
)
