"""What the control socket answers, as JSON Schema."""

import json
from pathlib import Path

import vllmd.status
from tools.reference.control_api.schema import (
    BOOLEAN,
    INTEGER,
    NUMBER,
    STRING,
    Schema,
    array,
    fields_of,
    mapping,
    of,
    or_null,
    record,
)
from vllmd.advise.observed import Observed
from vllmd.advise.rules import Advice
from vllmd.cost.usage import UNATTRIBUTED, Activity
from vllmd.daemon.reload import ReloadPlan
from vllmd.engine.exits import _NOT_KEPT, Exit
from vllmd.engine.group_interface import GroupStatus
from vllmd.engine.restart.policy import Hold
from vllmd.engine.status import NOT_SHOWN, EngineStatus
from vllmd.engine.weights.state import WeightsStatus
from vllmd.eventlog.bus import Event
from vllmd.eventlog.narrative import Story
from vllmd.events.traces import RequestSlow
from vllmd.gpu.memory_shares import Holder
from vllmd.gpu.reader_process import ReaderProblem
from vllmd.gpu.readers import DisabledRow
from vllmd.lora.adapter_status import AdapterStatus
from vllmd.probe.status import ProbeStatus
from vllmd.traces.slowest import RANKS
from vllmd.util.failure_report import FailureReport

MAYBE = or_null(NUMBER)


def status() -> Schema:
    """Return the schema of the document of all that is known."""
    read = json.loads((Path(vllmd.status.__file__).parent / "schema.json").read_text())
    del read["$schema"]
    return dict(read)


def engine() -> Schema:
    """Return what is answered once something was asked of an engine."""
    end = or_null(fields_of(Exit, _NOT_KEPT, text=STRING))
    count = record("Runs that ended so.", code=STRING, requested=BOOLEAN, count=INTEGER)
    shown = fields_of(
        EngineStatus,
        NOT_SHOWN,
        up=BOOLEAN,
        busy=BOOLEAN,
        exits=array(count),
        last_exit=end,
        first_failure=end,
        hold=or_null(fields_of(Hold, ("fingerprint",), surroundings=mapping(STRING))),
        group=or_null(fields_of(GroupStatus, id=STRING)),
        weights=or_null(fields_of(WeightsStatus)),
    )
    warning = or_null(STRING)
    return record("The engine, as it stands at once.", engine=shown, warning=warning)


def rotated() -> Schema:
    """Return what is answered once a log was rotated."""
    return record("Whose log it was.", engine=STRING)


def events() -> Schema:
    """Return the schema of a list of events."""
    return record("The oldest first.", events=array(fields_of(Event)))


def stories() -> Schema:
    """Return the schema of what `vllmd why` tells."""
    report = fields_of(FailureReport)["properties"]
    story = fields_of(Story, ("report",), **report)
    return record("One for each engine to which something happened.", stories=array(story))


def traces() -> Schema:
    """Return the schema of the slowest requests."""
    request = fields_of(RequestSlow, ("ranks",), engine=or_null(STRING))
    request["required"] = []  # what a span did not have is left out
    window = record(
        "The slowest requests of a stretch of time, ranked by each latency.",
        started_at=NUMBER,
        ended_at=MAYBE,
        requests=INTEGER,
        slowest={"type": "object", "properties": dict.fromkeys(RANKS, array(request))},
    )
    return record(
        "The window under way, and the last.",
        window_s=NUMBER,
        problem=or_null(STRING),
        current=or_null(window),
        last=or_null(window),
    )


def plan() -> Schema:
    """Return the schema of what a reload changes."""
    return fields_of(ReloadPlan)


def adapters_of_engine() -> Schema:
    """Return the schema of one engine's adapters."""
    return record(
        "The adapters of an engine.",
        engine=STRING,
        dynamic=BOOLEAN,
        directory=or_null(STRING),
        problem=or_null(STRING),
        adapters=array(fields_of(AdapterStatus)),
    )


def adapters() -> Schema:
    """Return the schema of all adapters."""
    return record("Of each engine that has any.", engines=array(adapters_of_engine()))


def probe() -> Schema:
    """Return the schema of what is known of an engine's answers once it was asked."""
    likely = or_null(array(record("What it may say next.", token=INTEGER, logprob=NUMBER)))
    return fields_of(
        ProbeStatus,
        engine=STRING,
        overlap=MAYBE,
        prompt=or_null(INTEGER),
        token=or_null(INTEGER),
        expected=likely,
        given=likely,
        recorded=BOOLEAN,
        problem=or_null(STRING),
    )


def gpus() -> Schema:
    """Return the schema of the GPUs and how they are read."""
    xid = record(
        "An error that the driver told.",
        xid=INTEGER,
        text=STRING,
        action=STRING,
        count=INTEGER,
        last_at=NUMBER,
    )
    owner = record("Who has how much.", owner=STRING, engine=or_null(STRING), bytes=NUMBER)
    gpu = record(
        "One GPU or instance; what is not known is absent from its values.",
        uuid=STRING,
        gpu=STRING,
        name=STRING,
        pci_bus_id=STRING,
        parent=or_null(STRING),
        profile=or_null(STRING),
        unified=BOOLEAN,
        lost=or_null(STRING),
        lost_since=MAYBE,
        values=mapping(NUMBER),
        peaks=mapping(NUMBER),
        owners=array(owner),
        processes=array(fields_of(Holder)),
        restart_margin_bytes=mapping(NUMBER),
        xids=array(xid),
    )
    reader = record(
        "How they are read.",
        success_at=MAYBE,
        cpu_s=NUMBER,
        resident_bytes=INTEGER,
        starts=INTEGER,
        stuck=INTEGER,
        errors=mapping(INTEGER),
        disabled_rows=array(fields_of(DisabledRow)),
        kernel_log=of(bool | None),
    )
    return record(
        "All GPUs.",
        source=STRING,
        problem=or_null(fields_of(ReaderProblem)),
        driver=STRING,
        library=STRING,
        driver_mismatch=or_null(STRING),
        gpus=array(gpu),
        growth_bytes=mapping(INTEGER),
        reader=reader,
    )


def reaped() -> Schema:
    """Return the schema of who was killed."""
    return record("Who was killed.", killed=array(STRING))


def released() -> Schema:
    """Return the schema of for how long the GPUs are let go of."""
    return record("For how long.", seconds=NUMBER)


def costs() -> Schema:
    """Return the schema of what a stretch of time cost."""
    amount = record("In the configured currency.", gpu=MAYBE, energy=MAYBE, all=MAYBE)
    measured = {"duration_s": NUMBER, "gpu_hours": NUMBER, "energy_kwh": NUMBER}
    measured |= dict.fromkeys(
        ("prompt_tokens", "cached_tokens", "generation_tokens", "requests"), INTEGER
    )
    activity = record("A part of the time.", **measured, cost=amount)
    asleep = record(
        "What its sleep gave back.", duration_s=NUMBER, gpu_hours_freed=NUMBER, saved=MAYBE
    )
    other = record("An API.", api=STRING, would_have_cost=MAYBE, break_even_tokens_per_hour=MAYBE)
    rates = (
        "cost_per_hour",
        "cost_per_million_tokens",
        "cost_per_million_tokens_without_idle",
        "cost_per_million_generation_tokens",
        "tokens_per_hour",
        "joules_per_token",
    )
    one = record(
        "What an engine cost.",
        engine=STRING,
        accounted_s=NUMBER,
        unaccounted_s=NUMBER,
        **measured,
        cost=amount,
        **dict.fromkeys(rates, MAYBE),
        asleep=asleep,
        activities={
            "type": "object",
            "properties": {str(each): activity for each in Activity},
        },
        compare=array(other),
    )
    nobody = record("Of no engine.", gpu_hours=NUMBER, energy_kwh=NUMBER, cost=amount)
    return record(
        "Whole hours of UTC.",
        since=INTEGER,
        until=NUMBER,
        currency=STRING,
        gpu_hour=MAYBE,
        kwh=MAYBE,
        overhead=NUMBER,
        engines=array(one),
        unattributed=record("By why.", **dict.fromkeys(UNATTRIBUTED.values(), nobody)),
    )


def advice() -> Schema:
    """Return the schema of what was observed, and what follows from it."""
    histogram = {"type": "object"}
    observed = fields_of(Observed, histograms=mapping(histogram))
    change = fields_of(Advice, diff=or_null(STRING))
    one = record(
        "What an engine has shown.",
        engine=STRING,
        enough=BOOLEAN,
        first_day=or_null(STRING),
        requests=NUMBER,
        other_commands_s=NUMBER,
        observed=observed,
        advice=array(change),
    )
    return record(
        "Of a stretch of time.",
        since=NUMBER,
        until=NUMBER,
        config=or_null(STRING),
        engines=array(one),
    )


def error() -> Schema:
    """Return the schema of a refusal."""
    return record("What is wrong, where, and what to do.", error=STRING)
