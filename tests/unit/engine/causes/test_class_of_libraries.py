from pathlib import Path

import pytest

from tests.unit.engine.causes.test_by_class import why
from vllmd.engine.causes import diagnose
from vllmd.engine.causes.base import WALLS, Facts, Kind
from vllmd.engine.causes.class_of_libraries import any_of

SITE = Path("/opt/venv/lib/python3.12/site-packages")


def test_any_of_is_one_group() -> None:
    assert any_of("a", "b") == "(?:a|b)"


@pytest.mark.parametrize(
    ("place", "said", "cause"),
    [
        ("torch/serialization.py:load", "RuntimeError: odd", "weights_damaged"),
        ("torch/nn/modules/module.py:load_state_dict", "RuntimeError: odd", "checkpoint_mismatch"),
        ("torch/utils/cpp_extension.py:load", "RuntimeError: odd", "compiler_missing"),
        ("torch/_inductor/graph.py:run", "AssertionError: odd", "compile_failed"),
        ("transformers/modeling_utils.py:load", "ValueError: odd", "unsupported_model"),
        ("transformers/quantizers/auto.py:load", "ValueError: odd", "unsupported_model"),
        ("librosa/core/audio.py:load", "ValueError: odd", "processor_failed"),
        ("jinja2/environment.py:parse", "TypeError: odd", "config_rejected"),
        ("flashinfer/decode.py:plan", "ValueError: odd", "unsupported_combination"),
    ],
)
def test_class_of_libraries_is_that_of_its_subject(place: str, said: str, cause: str) -> None:
    assert why(place, said).cause == cause


@pytest.mark.parametrize(
    ("place", "said", "perhaps"),
    [
        ("torch/_inductor/graph.py:run", "RuntimeError: odd", "compile_failed"),
        ("triton/compiler/code_generator.py:visit", "ValueError: odd", "gpu_unsupported"),
        ("torch/cuda/__init__.py:_lazy_init", "RuntimeError: odd", "no_gpu"),
        ("huggingface_hub/hf_api.py:info", "ValueError: odd", "model_not_found"),
        ("huggingface_hub/file_download.py:get", "RuntimeError: odd", "hub_unreachable"),
        ("vllm/model_executor/model_loader/x.py:go", "RuntimeError: odd", "checkpoint_mismatch"),
    ],
)
def test_class_of_libraries_is_a_suspicion_where_it_may_be_of_several(
    place: str, said: str, perhaps: str
) -> None:
    found = why(place, said)
    assert (found.cause, found.perhaps) == ("unknown", perhaps)
    assert found.kind not in WALLS


def test_class_of_libraries_is_not_looked_at_where_the_words_are_of_the_host() -> None:
    assert why("torch/serialization.py:load", "RuntimeError: [Errno 5] x").cause != (
        "weights_damaged"
    )


POOL = "A process in the process pool was terminated abruptly while the future was running."
POOL_ENDED = (
    "RuntimeError: A compilation subprocess exited unexpectedly. This is likely due to a crash."
)


@pytest.mark.parametrize(
    ("place", "said"),
    [
        ("torch/_inductor/async_compile.py:_wait_futures", POOL_ENDED),
        (
            "torch/_inductor/async_compile.py:result",
            f"concurrent.futures.process.BrokenProcessPool: {POOL}",
        ),
        ("torch/_dynamo/x.py:call", f"torch._inductor.exc.InductorError: {POOL_ENDED}"),
    ],
)
def test_class_of_libraries_of_a_compiler_that_was_killed_passes(place: str, said: str) -> None:
    found = why(place, said)
    assert (found.cause, found.kind) == ("compile_failed", Kind.TRANSIENT)


@pytest.mark.parametrize(
    "place",
    [
        "torch/nn/modules/linear.py:forward",
        "vllm/model_executor/layers/linear.py:apply",
        "torch/_inductor/graph.py:run",
        "flashinfer/decode.py:plan",
        "vllm/model_executor/model_loader/x.py:go",
    ],
)
def test_class_of_libraries_is_not_looked_at_where_pytorch_counts_memory(place: str) -> None:
    said = (
        'RuntimeError: NVML_SUCCESS == r INTERNAL ASSERT FAILED at "/pytorch/c10/cuda/'
        'CUDACachingAllocator.cpp":1016, please report a bug to PyTorch. '
    )
    found = why(place, said)
    assert (found.cause, found.kind) == ("cuda_out_of_memory", Kind.TRANSIENT)


def test_class_of_libraries_of_a_module_that_is_imported_is_a_broken_installation() -> None:
    lines = (
        "Traceback (most recent call last):",
        '  File "/opt/venv/bin/vllm", line 4, in <module>',
        f'  File "{SITE}/vllm/transformers_utils/configs/x.py", line 7, in <module>',
        f'  File "{SITE}/transformers/models/auto/configuration_auto.py", line 9, in register',
        "ValueError: odd",
    )
    assert diagnose(Facts("1", lines)).cause == "broken_install"
