import pytest

from vllmd.engine.causes import diagnose
from vllmd.engine.causes.base import Facts, Kind

CORE = "(EngineCore pid=7) ERROR 11-23 19:06:44 [core.py:1231] "
LINES = (
    "EngineCore failed to start.",
    "Traceback (most recent call last):",
    '  File "/srv/own/code.py", line 9, in work',
)


@pytest.mark.parametrize(
    ("said", "cause"),
    [
        ("OSError: [Errno 23] Too many open files in system", "limit_reached"),
        ("OSError: [Errno 117] Structure needs cleaning: '/srv/x'", "storage_failed"),
        ("RuntimeError: could not read: bad message (os error 74)", "storage_failed"),
        ("OSError: [Errno 22] Invalid argument: '/mnt/x'", "storage_failed"),
        ("OSError: [Errno 8] Exec format error: '/srv/tool'", "cpu_unsupported"),
        ("torch.distributed.DistBackendError: odd words", "nccl_failure"),
        ("RuntimeError: ncclCommSplit failed: 5", "nccl_failure"),
        ("torch.AcceleratorError: odd words", "cuda_error"),
        ("RuntimeError: cuMemCreate failed with 801", "cuda_error"),
    ],
)
def test_class_of_host_is_told_whoever_raised_it(said: str, cause: str) -> None:
    assert diagnose(Facts("1", tuple(CORE + line for line in (*LINES, said)))).cause == cause


@pytest.mark.parametrize(
    ("said", "perhaps"),
    [
        ("OSError: [Errno 101] nothing is there", "dist_unreachable"),
        ("zmq.error.ZMQError: Protocol not supported", "dist_unreachable"),
        ("ray.exceptions.OddError: x", "ray_resources"),
        ("httpx.OddError: x", "hub_unreachable"),
        ("TimeoutError", "worker_timeout"),
    ],
)
def test_class_of_host_is_a_suspicion_where_it_may_be_of_several(said: str, perhaps: str) -> None:
    found = diagnose(Facts("1", tuple(CORE + line for line in (*LINES, said))))
    assert (found.cause, found.perhaps) == ("unknown", perhaps)
    assert found.kind is Kind.TRANSIENT
    assert perhaps in found.explanation
