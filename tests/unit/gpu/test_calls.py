import os
from collections.abc import Iterator

import pytest

from vllmd.gpu import calls
from vllmd.gpu.calls import CallLog, NvmlCalls, RowKey

A, B = RowKey("GPU-1", "power_watts"), RowKey("GPU-2", "remapped_rows:corrected")


@pytest.fixture
def descriptor() -> Iterator[int]:
    made = calls.make([B, A])
    yield made
    os.close(made)


def test_reader_learns_what_to_leave_out_and_nothing_is_called_yet(descriptor: int) -> None:
    assert CallLog(descriptor).left_out == {A, B}
    assert calls.read(descriptor) == NvmlCalls((), None)


def test_call_is_under_way_until_it_has_returned(descriptor: int) -> None:
    log = CallLog(descriptor)
    for key in (A, B):
        log.begin(*key)
        assert calls.read(descriptor).under_way == key
        log.end()
        assert calls.read(descriptor).under_way is None
    log.begin(*A)
    assert calls.read(descriptor) == NvmlCalls((A, B), A), "each is listed once"


def test_wait_for_events_is_of_no_gpu(descriptor: int) -> None:
    CallLog(descriptor).begin("", calls.EVENTS)
    assert calls.read(descriptor).under_way == RowKey("", calls.EVENTS)


def test_reader_that_nobody_watches_notes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(calls.VARIABLE, raising=False)
    log = CallLog.inherited()
    log.begin(*A)
    log.end()
    assert log.left_out == frozenset()


def test_descriptor_is_that_of_the_environment(
    monkeypatch: pytest.MonkeyPatch, descriptor: int
) -> None:
    monkeypatch.setenv(calls.VARIABLE, str(descriptor))
    assert CallLog.inherited().left_out == {A, B}
