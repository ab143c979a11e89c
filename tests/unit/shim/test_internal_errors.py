import os
import time

import pytest

from vllmd.shim.internal_errors import ONE_IN, TOLD, InternalErrors, complain


def test_within_a_mistake_is_survived_counted_and_told(capfd: pytest.CaptureFixture[str]) -> None:
    kept = InternalErrors()
    with kept.within("counting to one"):
        raise KeyError("one")
    with kept.within("doing well"):
        pass
    assert kept.count == 1
    told = capfd.readouterr().err
    assert "vllmd shim: internal error 1 while counting to one: KeyError" in told
    assert "test_internal_errors.py" in told  # where it was


def test_within_a_wish_to_end_is_none() -> None:
    with pytest.raises(SystemExit), InternalErrors().within("ending"):
        raise SystemExit


def test_within_waits_so_that_a_loop_takes_no_cpu(monkeypatch: pytest.MonkeyPatch) -> None:
    slept: list[float] = []
    monkeypatch.setattr(time, "sleep", slept.append)
    with InternalErrors().within("looping", pause_s=0.5):
        raise ValueError
    assert slept == [0.5]


def test_note_many_are_counted_and_few_are_told(capfd: pytest.CaptureFixture[str]) -> None:
    kept = InternalErrors()
    for _ in range(2 * ONE_IN):
        kept.note("looping", ValueError())
    assert kept.count == 2 * ONE_IN
    assert capfd.readouterr().err.count("looping") == TOLD + 2


def test_note_with_nowhere_to_tell_is_survived(monkeypatch: pytest.MonkeyPatch) -> None:
    def full(_fd: int, _data: bytes) -> int:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "write", full)
    kept = InternalErrors()
    kept.note("telling", ValueError())
    complain("and this")
    assert kept.count == 1


def test_complain_takes_any_text(capfd: pytest.CaptureFixture[str]) -> None:
    complain("\ud800")
    assert capfd.readouterr().err == "vllmd shim: \\ud800\n"
