from hypothesis import given
from hypothesis import strategies as st
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from tests.helpers.otlp import export
from vllmd.traces.forward.queue import MAX_BATCH_BYTES, MAX_BATCH_SPANS, Batch, ForwardQueue
from vllmd.traces.wire import MAX_SPANS


def queue(max_bytes: int = 1000) -> ForwardQueue:
    made = ForwardQueue()
    made.wanted, made.max_bytes = True, max_bytes
    return made


def test_what_nobody_wants_is_not_kept() -> None:
    unwanted = ForwardQueue()
    unwanted.put(b"abc", 1)
    assert (len(unwanted), unwanted.bytes, unwanted.take()) == (0, 0, None)


def test_a_batch_is_the_bytes_joined_and_one_request_again() -> None:
    made, one, two = queue(10**6), export(2), export(3)
    made.put(one.SerializeToString(), 2)
    made.put(two.SerializeToString(), 3)
    batch = made.take()
    assert batch is not None
    assert batch.spans == 5
    joined = ExportTraceServiceRequest.FromString(batch.body)
    assert list(joined.resource_spans) == [*one.resource_spans, *two.resource_spans]
    assert made.bytes == 0


def test_the_oldest_gives_way_and_is_counted() -> None:
    made = queue(10)
    for number in range(5):
        made.put(bytes([number]) * 4, number)
    assert made.outcomes == {"dropped": 0 + 1 + 2}
    batch = made.take()
    assert batch == Batch(b"\x03" * 4 + b"\x04" * 4, 7)


def test_a_batch_stays_below_what_receivers_take() -> None:
    made = queue(10 * MAX_BATCH_BYTES)
    for _ in range(3):
        made.put(bytes(MAX_BATCH_BYTES // 2), 1)
    made.put(bytes(2 * MAX_BATCH_BYTES), 1)
    sizes = []
    while batch := made.take():
        sizes.append(len(batch.body) * 2 // MAX_BATCH_BYTES)
    assert sizes == [2, 1, 4]


def test_what_came_another_way_is_another_batch() -> None:
    made = queue()
    made.put(b"a", 1)
    made.put(b"b", 1, ("other",))
    made.put(b"c", 1, ("other",))
    assert made.take() == Batch(b"a", 1)
    assert made.take() == Batch(b"bc", 2, ("other",))


def test_take_joins_no_more_spans_than_another_vllmd_takes() -> None:
    made = queue()
    for count in (MAX_BATCH_SPANS - 1, 1, 1):
        made.put(b"x", count)
    batch = made.take()
    assert batch is not None
    assert (batch.spans, MAX_BATCH_SPANS < MAX_SPANS) == (MAX_BATCH_SPANS, True)


def test_give_back_is_the_oldest_again() -> None:
    made = queue()
    made.put(b"a", 1)
    batch = made.take()
    assert batch is not None
    made.put(b"b", 1)
    made.give_back(batch)
    assert made.take() == Batch(b"ab", 2)


def test_clear_counts_what_it_drops() -> None:
    made = queue()
    made.put(b"a", 3)
    made.clear()
    assert (made.outcomes, made.bytes) == ({"dropped": 3}, 0)


@given(st.lists(st.tuples(st.integers(0, 300), st.booleans()), max_size=60))
def test_bytes_are_bounded_and_every_span_is_accounted_for(steps: list[tuple[int, bool]]) -> None:
    made, put, taken = queue(500), 0, 0
    for size, take in steps:
        made.put(bytes(size), 1)
        put += 1
        assert made.bytes <= 500
        if take and (batch := made.take()):
            taken += batch.spans
    assert made.bytes == sum(len(b.body) for b in made._waiting)
    assert put == taken + made.outcomes["dropped"] + sum(b.spans for b in made._waiting)
