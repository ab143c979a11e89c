import re

import pytest

from vllmd.engine.causes import diagnose
from vllmd.engine.causes.accelerators import NOT_OF_THE_CODE, OUT_OF_MEMORY
from vllmd.engine.causes.base import Diagnosis, Facts

CORE = "(EngineCore pid=7) ERROR 11-23 19:06:44 [core.py:1231] "


def told(said: str) -> Diagnosis:
    lines = ("EngineCore failed to start.", "Traceback (most recent call last):")
    frame = '  File "/opt/venv/lib/python3.12/site-packages/vllm/v1/worker/w.py", line 9, in f'
    return diagnose(Facts("1", tuple(CORE + line for line in (*lines, frame, said))))


@pytest.mark.parametrize("maker", ["CUDA", "HIP", "XPU", "NPU", "HPU", "MUSA"])
def test_memory_that_ran_out_is_the_same_whoever_made_the_gpu(maker: str) -> None:
    said = f"RuntimeError: {maker} out of memory. Tried to allocate 2.63 GiB"
    assert told(said).cause == "cuda_out_of_memory"


@pytest.mark.parametrize(
    ("said", "variable"),
    [
        ("RuntimeError: oneCCL: atl_ofi_comm.cpp:229 init: EXCEPTION: x", "CCL_LOG_LEVEL=info"),
        ("RuntimeError: oneCCL: ze_fd_manager.cpp:2 f: EXCEPTION: open failed: fd: -1", "/dev/dri"),
        ("RuntimeError: HCCL function error: HcclAllReduce, error code is 9", "ASCEND_GLOBAL_LOG"),
        ("RuntimeError: NCCL error: unhandled system error", "NCCL_DEBUG"),
    ],
)
def test_collectives_that_fail_name_the_variable_of_their_own_library(
    said: str, variable: str
) -> None:
    found = told(said)
    assert found.cause == "nccl_failure"
    assert variable in found.advice


def test_memory_that_ran_out_is_no_word_of_the_code_but_for_what_only_its_own_cause_knows() -> None:
    said = ("CUDA out of memory", "torch.OutOfMemoryError", "RESOURCE_EXHAUSTED: x", "UR error: 39")
    assert all(re.search(NOT_OF_THE_CODE, each) for each in said)
    assert all(map(re.compile, OUT_OF_MEMORY))
