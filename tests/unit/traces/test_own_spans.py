from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from vllmd.eventlog.bus import Event
from vllmd.events.engine import EngineExited, EngineStateChanged
from vllmd.traces.forward.queue import ForwardQueue
from vllmd.traces.own_spans import OwnSpans


def put(own: OwnSpans, at: float, name: str, **fields: object) -> None:
    own.put(Event(at, name, "info", "chat", fields))


def incident(own: OwnSpans) -> None:
    put(own, 10, EngineExited.name, requested=False, explanation="It died.", cause="killed")
    put(own, 11, EngineStateChanged.name, state="starting")
    put(own, 12, EngineStateChanged.name, state="ready")


def test_an_incident_becomes_a_trace_of_its_own() -> None:
    queue = ForwardQueue()
    queue.wanted = True
    incident(OwnSpans(queue))
    batch = queue.take()
    assert batch is not None
    assert batch.spans == 2
    request = ExportTraceServiceRequest.FromString(batch.body)
    (group,) = request.resource_spans
    about = {a.key: a.value.string_value for a in group.resource.attributes}
    assert about["service.name"] == "vllmd"
    spans = {span.name: span for span in group.scope_spans[0].spans}
    root, start = spans["engine.incident"], spans["engine.start"]
    assert (root.start_time_unix_nano, root.end_time_unix_nano) == (10 * 10**9, 12 * 10**9)
    assert root.parent_span_id == b""
    assert start.parent_span_id == root.span_id
    assert start.trace_id == root.trace_id
    assert (root.status.code, root.status.message) == (2, "It died.")
    assert start.status.code == 0
    told = {a.key: a.value.string_value for a in root.attributes}
    assert told == {
        "vllmd.engine": "chat",
        "vllmd.cause": "killed",
        "vllmd.explanation": "It died.",
    }


def test_nothing_is_made_where_nothing_is_passed_on() -> None:
    queue = ForwardQueue()
    own = OwnSpans(queue)
    incident(own)
    assert len(queue) == 0
    queue.wanted = True
    put(own, 20, EngineStateChanged.name, state="stopping")
    put(own, 21, EngineStateChanged.name, state="stopped")
    batch = queue.take()
    assert batch is not None
    assert batch.spans == 1
