import pytest

from tests.helpers.make import gpu_device
from vllmd.gpu.xid_log import END_AFTER_S, XidEvent, XidLog


def test_nvml_and_the_kernel_tell_one_xid_once(capsys: pytest.CaptureFixture[str]) -> None:
    log = XidLog({})
    assert log.take(XidEvent(100.0, "GPU-1", 79), gpu_device())
    assert not log.take(XidEvent(100.4, "GPU-1", 79, "fallen off the bus"), gpu_device())
    assert log.take(XidEvent(100.5, "GPU-1", 31), gpu_device())
    assert log.take(XidEvent(200.0, "GPU-1", 79), gpu_device())
    assert [(seen.xid.code, seen.count) for seen in log.of("GPU-1")] == [(31, 1), (79, 2)]
    assert log.of("GPU-2") == ()
    assert capsys.readouterr().out.count("gpu.xid_seen") == 3


def test_words_of_the_kernel_are_kept_for_what_nvml_told() -> None:
    log = XidLog({})
    log.take(XidEvent(100.0, "GPU-1", 31), None)
    log.take(XidEvent(100.4, "GPU-1", 31, "pid=937, name=python3, MMU Fault"), None)
    (event,) = log.since(0.0)
    assert event.pid == 937
    assert "MMU Fault" in event.describe()
    assert XidEvent(0.0, "GPU-1", 31).pid is None


def test_counts_go_on_in_the_next_daemon() -> None:
    log = XidLog({("GPU-1", 79): (4, 50.0)})
    log.take(XidEvent(100.0, "GPU-1", 79), None)
    assert log.of("GPU-1")[0].count == 5


def test_since_returns_the_later_ones() -> None:
    log = XidLog({})
    for at in (10.0, 20.0, 30.0):
        log.take(XidEvent(at, "GPU-1", 13), None)
    assert [event.at for event in log.since(20.0)] == [20.0, 30.0]


@pytest.mark.parametrize(("code", "after_s", "concerns"), [(79, 9e4, True), (31, 5, True)])
def test_end_may_follow_from_an_xid(code: int, after_s: float, concerns: bool) -> None:
    assert XidEvent(100.0, "GPU-1", code).concerns_an_end(100 + after_s) is concerns


def test_old_xid_of_one_process_explains_no_end() -> None:
    assert not XidEvent(100.0, "GPU-1", 31).concerns_an_end(101 + END_AFTER_S)


def test_describe_has_the_kernels_words() -> None:
    event = XidEvent(0.0, "GPU-1", 79, "pid=5")
    assert event.describe() == "the GPU reported Xid 79: the GPU has fallen off the bus (pid=5)"
