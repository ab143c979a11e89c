import io
import re
from pathlib import Path

import pytest
import structlog
from structlog.testing import capture_logs

import vllmd
from tests.helpers.each import of_each
from tests.helpers.events import CLASSES
from vllmd.eventlog import log
from vllmd.events.base import TypedEvent, emit, to_fields
from vllmd.events.daemon import ConfigReloaded, NotificationFailed, PartFailed
from vllmd.events.engine import EngineExited, EngineHeld
from vllmd.events.lora import LoraFailed
from vllmd.events.requests import RequestAccepted, RequestRefused
from vllmd.events.traces import RequestSlow

ENDED = EngineExited(
    code="0",
    requested=False,
    text="exited with code 0 unexpectedly",
    run_id="1a",
    phase=None,
    killed=("EngineCore",),
    incident=None,
    last_line="bye",
)


@of_each(CLASSES, lambda kind: kind.__name__)
def test_class_is_called_as_its_event_and_has_one_line_that_says_what_it_is(
    kind: type[TypedEvent],
) -> None:
    assert re.fullmatch(r"[a-z_]+\.[a-z_]+", kind.name)
    assert kind.__name__ == "".join(map(str.capitalize, re.split(r"[._]", kind.name)))
    assert "\n" not in (kind.__doc__ or "\n")
    assert kind.level in ("debug", "info", "warning", "error")


def test_names_are_unique_and_every_event_is_told_somewhere() -> None:
    assert len({kind.name for kind in CLASSES}) == len(CLASSES) > 60
    package = Path(vllmd.__file__).parent
    code = "\n".join(p.read_text() for p in package.rglob("*.py") if p.parent.name != "events")
    assert [kind for kind in CLASSES if f"{kind.__name__}(" not in code] == []


def test_to_fields_are_values_of_json_and_leave_out_what_is_not_said() -> None:
    assert to_fields(ENDED) == {
        "code": "0",
        "requested": False,
        "text": "exited with code 0 unexpectedly",
        "run_id": "1a",
        "phase": None,
        "killed": ["EngineCore"],
        "incident": None,
        "last_line": "bye",
    }
    assert to_fields(LoraFailed()) == {}
    assert to_fields(LoraFailed(adapter=None, reason="gone")) == {"adapter": None, "reason": "gone"}
    assert to_fields(NotificationFailed(problem="x")) == {"problem": "x"}
    reloaded = ConfigReloaded(
        config=None,
        apply=False,
        added=(),
        removed=(),
        running=(),
        applied={"": ("daemon.listen",)},
        restart={},
    )
    assert to_fields(reloaded)["applied"] == {"": ["daemon.listen"]}


def test_emit_gives_name_level_engine_and_trace() -> None:
    with capture_logs() as logs:
        emit(structlog.get_logger().bind(engine="chat"), ENDED)
        emit(structlog.get_logger().bind(engine="chat"), ENDED, level="info")
        emit(structlog.get_logger(), LoraFailed(), engine="code", exc_info=True)
    unasked, asked, failed = logs
    assert unasked == {
        "engine": "chat",
        "event": "engine.exited",
        "log_level": "error",
        **to_fields(ENDED),
    }
    assert asked["log_level"] == "info"
    assert failed == {
        "engine": "code",
        "event": "lora.failed",
        "log_level": "warning",
        "exc_info": True,
    }


def line_of(event: TypedEvent, engine: str | None) -> str:
    stream = io.StringIO()
    log.configure(stream)
    try:
        emit(structlog.get_logger(), event, engine=engine)
    finally:
        structlog.reset_defaults()
    return stream.getvalue().split(" ", 1)[1].strip()


SLOW = RequestSlow(
    ranks=("e2e",),
    adapter=None,
    request_id="r",
    trace_id="t",
    span_id="s",
    arrived_at=1.5,
    time_to_first_token=0.25,
    time_per_output_token=None,
    queue=None,
    prefill=None,
    decode=None,
    e2e=2.0,
    prompt_tokens=8,
    completion_tokens=9,
)


@pytest.mark.parametrize(
    ("event", "line"),
    [
        (
            ENDED,
            "level=error event=engine.exited engine=chat code=0 requested=false "
            'text="exited with code 0 unexpectedly" run_id=1a phase= '
            "killed=['EngineCore'] "
            "incident= last_line=bye",
        ),
        (
            EngineHeld(cause="gpu_fault", reason="Reset it.", retry_at=None),
            "level=error event=engine.held engine=chat cause=gpu_fault "
            'reason="Reset it." retry_at=',
        ),
        (
            RequestAccepted(action="lora add", adapter="sql", user="root"),
            'level=info event=request.accepted action="lora add" engine=chat adapter=sql user=root',
        ),
        (
            RequestRefused(action="stop", user="eve", not_logged=3),
            "level=warning event=request.refused action=stop user=eve engine=chat not_logged=3",
        ),
        (
            PartFailed(part="gpu", problem="x", failures=1, retry_s=None),
            "level=error event=part.failed part=gpu problem=x failures=1 retry_s= engine=chat",
        ),
        (
            SLOW,
            "level=info event=request.slow ranks=['e2e'] engine=chat adapter= request_id=r "
            "trace_id=t span_id=s arrived_at=1.5 time_to_first_token=0.25 time_per_output_token= "
            "queue= prefill= decode= e2e=2.0 prompt_tokens=8 completion_tokens=9",
        ),
    ],
    ids=lambda value: value.name if isinstance(value, TypedEvent) else "",
)
def test_line_of_the_log_has_its_fields_in_their_order(event: TypedEvent, line: str) -> None:
    assert line_of(event, "chat") == line


def test_line_without_an_engine_names_none() -> None:
    line = line_of(RequestAccepted(action="reload", user="root"), None)
    assert line == "level=info event=request.accepted action=reload user=root"
