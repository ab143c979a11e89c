import pytest

from tests.helpers.otlp import DATA, ENGINE, Taken, add_span, export, json_of, recorded
from vllmd.eventlog.bus import Event
from vllmd.events.engine import EngineStateChanged
from vllmd.traces.intake import IntakeState
from vllmd.traces.refusal import CameBackError


async def test_take_counts_requests_and_asks_for_the_names_that_were_claimed() -> None:
    taken = Taken("domain")
    answer = await taken.take(recorded("requests-lora-tracestate"))
    assert not answer.HasField("partial_success")
    assert taken.asked == [(ENGINE, frozenset({"domain"}))]
    assert taken.kept.aggregate.series[ENGINE, "domain"].requests == 3
    assert taken.kept.slowest.begun
    assert taken.intake.begun.is_set()


async def test_take_of_three_sequences_of_a_real_vllm_is_one_request() -> None:
    taken = Taken("domain")
    await taken.take(recorded("requests-n3"))
    series = taken.kept.aggregate.series
    assert series[ENGINE, "domain"].requests == 2
    assert series[ENGINE, "unknown"].requests == 1
    assert series[ENGINE, "unknown"].completion_tokens == 48
    assert series[ENGINE, "unknown"].prompt_tokens == 5
    assert taken.spans == 5
    assert not taken.kept.aggregate.invalid


async def test_take_of_a_real_start_tells_its_parts_and_counts_no_request() -> None:
    taken = Taken()
    for number in range(6):
        await taken.take(recorded(f"startup-{number}"))
    parts = taken.kept.starts[ENGINE]
    assert parts["Overall Loading"] == pytest.approx(26.04, abs=0.01)
    assert parts["Load weights"] == pytest.approx(0.0088, abs=1e-4)
    assert {span.name for _, span in taken.started} == set(parts)
    assert taken.kept.counts.starts == 12
    assert taken.kept.aggregate.series == {}
    assert not taken.kept.slowest.begun


async def test_parts_of_a_start_are_forgotten_when_another_begins() -> None:
    taken = Taken()
    await taken.take(recorded("startup-5"))
    change = {"state": "starting"}
    taken.kept.put(Event(0.0, EngineStateChanged.name, "info", "other", change))
    taken.kept.put(Event(0.0, EngineStateChanged.name, "info", ENGINE, {"state": "ready"}))
    assert ENGINE in taken.kept.starts
    taken.kept.put(Event(0.0, EngineStateChanged.name, "info", ENGINE, change))
    assert taken.kept.starts == {}


async def test_take_of_an_unknown_engine_counts_others_only() -> None:
    taken = Taken(engines=["another"])
    await taken.take(recorded("requests-n3"))
    assert taken.spans == 0
    assert taken.kept.counts.others == 5


async def test_take_rejects_spans_without_an_identity_and_keeps_the_rest() -> None:
    taken = Taken()
    request = export(2)
    add_span(request, ids=(b"short", b"shorter"))
    taken.kept.queue.wanted = True
    answer = await taken.take(request)
    assert answer.partial_success.rejected_spans == 1
    assert "wrong length" in answer.partial_success.error_message
    assert taken.spans == 2
    assert taken.kept.counts.rejected == 1
    batch = taken.kept.queue.take()
    assert batch is not None
    assert batch.spans == 2
    assert b"shorter" not in batch.body


async def test_take_passes_bytes_on_as_they_came() -> None:
    taken = Taken()
    taken.kept.queue.wanted = True
    raw = (DATA / "requests-n3.bin").read_bytes() + b"\xca\x3e\x03abc"  # a field of the future
    await taken.take(raw)
    batch = taken.kept.queue.take()
    assert batch is not None
    assert (batch.body, batch.spans) == (raw, 5)


async def test_take_of_json_passes_protobuf_on() -> None:
    taken = Taken()
    taken.kept.queue.wanted = True
    request = export()
    await taken.take(json_of(request), json=True)
    batch = taken.kept.queue.take()
    assert batch is not None
    assert batch.body == request.SerializeToString()


async def test_take_of_more_than_a_slice_lets_others_have_their_turn() -> None:
    taken = Taken()
    request = export()
    spans = request.resource_spans[0].scope_spans[0].spans
    for number in range(3000):
        spans.add().CopyFrom(spans[0])
        spans[-1].span_id = number.to_bytes(8, "little") if number else b"12345678"
    await taken.take(request)
    assert taken.spans == 3001


async def test_what_this_daemon_passed_on_is_refused() -> None:
    kept = IntakeState()
    taken = Taken()
    assert taken.intake.read_trail("") == ()
    assert taken.intake.read_trail(f"a,{kept.instance}") == ("a", kept.instance)
    for trail in (taken.kept.instance, f"a,{taken.kept.instance},b", ",".join("a" * 17)):
        with pytest.raises(CameBackError, match=r"traces\.forward\.endpoint"):
            taken.intake.read_trail(trail)
