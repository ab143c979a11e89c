"""Faults of the daemon and of engines."""

from tests.timelines.signals import Alike, Fault, Signal, brief, counter, gauge, shaped

CHAT = {"vllmd_engine": "chat"}
WANTED = gauge("vllmd_engine_wanted", 1, 1, **CHAT)
UP = gauge("vllmd_engine_up", 1, 1, **CHAT)
UNWANTED = gauge("vllmd_engine_wanted", 1, 0, **CHAT)
STATES = ("ready", "loading", "backoff", "held", "stalled", "stopped")
STOPPED_LOAD = {**CHAT, "cause": "load_stalled", "kind": "transient"}


def state(bad: str, well: str = "ready") -> list[Signal]:
    """Return the series of an engine that is ready, and in another state while not well."""
    return [
        gauge("vllmd_engine_state", float(each == well), float(each == bad), **CHAT, state=each)
        for each in STATES
    ]


def weights(bad: str) -> list[Signal]:
    """Return the series of weights that are ready, and in another state while not well."""
    return [
        gauge("vllmd_engine_weights_state", float(each == "ready"), 0.0, **CHAT, state=each)
        if each != bad
        else gauge("vllmd_engine_weights_state", 0.0, 1.0, **CHAT, state=each)
        for each in ("absent", "loading", "ready", "incomplete", "ending", "unresponsive")
    ]


def verdict(bad: str) -> list[Signal]:
    """Return the series of an engine whose answers are right, and something else while not well."""
    return [
        gauge(
            "vllmd_probe_verdict", float(each == "right"), float(each == bad), **CHAT, verdict=each
        )
        for each in ("unknown", "right", "wrong", "not_applicable")
    ]


FAULTS = (
    Fault(
        "VllmdDown",
        "the daemon is gone",
        [gauge("up", 1, 0, job="vllmd")],
        Alike("two scrapes fail", [brief("up", 1, 0, 2, job="vllmd")]),
        gaps=False,
    ),
    Fault(
        "VllmdAbsent",
        "the job is gone from Prometheus' configuration",
        [gauge("up", 1, None, job="vllmd")],
        Alike("the only host is down", [gauge("up", 1, 0, job="vllmd")]),
        gaps=False,
        flapping="all alerts work in between",
    ),
    Fault(
        "VllmdEngineDown",
        "an engine died, and waits for its next start",
        [WANTED, *state("backoff")],
        Alike("it is restarted, and loads for an hour", [WANTED, *state("loading")]),
        flapping="each time it is a restart: VllmdEngineRestartLoop",
    ),
    Fault(
        "VllmdEngineHeld",
        "an engine is held",
        [
            WANTED,
            *state("held"),
            gauge("vllmd_engine_hold_seconds", None, 60, **CHAT, cause="cuda_oom"),
        ],
        Alike(
            "held, and stopped by a person",
            [
                UNWANTED,
                *state("held"),
                gauge("vllmd_engine_hold_seconds", None, 60, **CHAT, cause="cuda_oom"),
            ],
        ),
    ),
    Fault(
        "VllmdEngineStalled",
        "an engine hangs",
        state("stalled"),
        Alike(
            "a minute, and progress after all",
            [brief("vllmd_engine_state", 0, 1, 1, **CHAT, state="stalled")],
        ),
    ),
    Fault(
        "VllmdEngineLoadStalled",
        "a load stopped, and the next is no better",
        [
            WANTED,
            *state("loading"),
            gauge("vllmd_engine_up", 1, 0, **CHAT),
            gauge("vllmd_engine_failure_info", None, 1, **STOPPED_LOAD),
        ],
        Alike(
            "the next one works",
            [
                WANTED,
                brief("vllmd_engine_up", 1, 0, 4, **CHAT),
                gauge("vllmd_engine_failure_info", None, 1, **STOPPED_LOAD),
            ],
        ),
        flapping="each time it is a restart: VllmdEngineRestartLoop",
    ),
    Fault(
        "VllmdEngineRestartLoop",
        "an engine is restarted every five minutes",
        [WANTED, counter("vllmd_engine_restarts_total", 0, 0.2, **CHAT)],
        Alike(
            "three restarts, and it serves",
            [
                WANTED,
                shaped("vllmd_engine_restarts_total", lambda m: float(min(m, 3)), **CHAT),
            ],
        ),
        flapping="it is what comes and goes",
    ),
    Fault(
        "VllmdEngineNotReady",
        "an engine starts and dies for an hour and a half",
        [WANTED, *state("loading"), gauge("vllmd_engine_up", 1, 0, **CHAT)],
        Alike(
            "a large model loads for 25 minutes",
            [WANTED, *state("loading"), brief("vllmd_engine_up", 1, 0, 25, **CHAT)],
        ),
        lasts=90,
        flapping="each time it is a restart: VllmdEngineRestartLoop",
    ),
    Fault(
        "VllmdWrongAnswers",
        "a GPU computes wrong from some time on",
        [UP, *verdict("wrong")],
        Alike("it cannot be asked for an hour", [UP, *verdict("unknown")]),
    ),
    Fault(
        "VllmdAnswersUnchecked",
        "an engine refuses the prompts of its probe",
        [UP, *verdict("not_applicable")],
        Alike(
            "it is asked within half an hour",
            [
                UP,
                brief("vllmd_probe_verdict", 0, 1, 30, **CHAT, verdict="unknown"),
                brief("vllmd_probe_verdict", 1, 0, 30, **CHAT, verdict="right"),
            ],
        ),
        lasts=180,
        flapping="it is asked in between",
    ),
    Fault(
        "VllmdWeightsLost",
        "what kept an engine's weights ended, and it serves on",
        [UP, *weights("absent")],
        Alike(
            "it is down for ten minutes, and loads them anew",
            [
                brief("vllmd_engine_up", 1, 0, 10, **CHAT),
                brief("vllmd_engine_weights_state", 0, 1, 10, **CHAT, state="absent"),
            ],
        ),
    ),
    Fault(
        "VllmdWeightsUnresponsive",
        "what keeps an engine's weights does not answer",
        weights("unresponsive"),
        Alike(
            "for three minutes",
            [brief("vllmd_engine_weights_state", 0, 1, 3, **CHAT, state="unresponsive")],
        ),
    ),
)
