from pathlib import Path

import pytest

from vllmd.engine.causes import diagnose
from vllmd.engine.causes.base import Diagnosis, Facts

SITE = "/opt/venv/lib/python3.12/site-packages"
CORE = "(EngineCore pid=7) ERROR 11-23 19:06:44 [core.py:1231] "


def why(place: str, said: str, *before: str) -> Diagnosis:
    file, function = place.split(":")
    lines = (
        "EngineCore failed to start.",
        "Traceback (most recent call last):",
        f'  File "{SITE}/vllm/v1/engine/core.py", line 9, in run_engine_core',
        f'  File "{Path(SITE) / file}", line 9, in {function}',
        said,
    )
    return diagnose(Facts("1", (*before, *(CORE + line for line in lines))))


@pytest.mark.parametrize(
    ("place", "said", "cause"),
    [
        (
            "vllm/v1/worker/gpu_worker.py:load",
            "ValueError: No more than 3 of them",
            "config_rejected",
        ),
        ("vllm/v1/core/x.py:check", "AssertionError: DCP does not support this", "config_rejected"),
        ("vllm/v1/core/x.py:check", "RuntimeError: UVA is not available", "config_rejected"),
        ("vllm/v1/core/x.py:check", "ValueError: too many values to unpack", "engine_bug"),
        ("vllm/models/x.py:forward", "AssertionError: H is 3", "unsupported_combination"),
        ("vllm/models/x.py:forward", "AssertionError", "engine_bug"),
        ("vllm/models/x.py:forward", "NotImplementedError", "unsupported_combination"),
        ("vllm/models/x.py:forward", "KeyError: 'layer_7'", "unsupported_combination"),
        ("vllm/models/x.py:forward", "NameError: name 'q' is not defined", "engine_bug"),
        ("vllm/v1/core/x.py:check", "AssertionError", "engine_bug"),
        ("vllm/v1/core/x.py:check", "AssertionError: Hidden size mismatch 3 != 4", "engine_bug"),
        ("vllm/v1/core/x.py:check", "ValueError: k must have shape [2, 3]", "engine_bug"),
        ("vllm/v1/core/x.py:check", "KeyError: 'layer_7'", "engine_bug"),
        ("vllm/v1/core/x.py:check", "IndexError: list index out of range", "engine_bug"),
        (
            "cloudpickle/cloudpickle.py:dump",
            "TypeError: 'NoneType' object is not iterable",
            "engine_bug",
        ),
        (
            "vllm/model_executor/models/glm4.py:forward",
            "RuntimeError: shape '[7, -1, 128]' is invalid for input of size 137",
            "unsupported_combination",
        ),
        ("vllm/v1/core/x.py:check", "MemoryError: std::bad_array_new_length", "engine_bug"),
        ("transformers/processing_utils.py:pad", "ValueError: 3 of 4", "processor_failed"),
        (
            "transformers/models/x/tokenization_x.py:load",
            "AttributeError: 'list' object has no attribute 'keys'",
            "unsupported_model",
        ),
        ("gguf/gguf_reader.py:read", "ValueError: GGUF magic invalid", "weights_damaged"),
        ("vllm/lora/layers/x.py:init", "AssertionError: EP is not there yet", "lora_unusable"),
        (
            "vllm/_custom_ops.py:gemm",
            "RuntimeError: this op is unsupported on the current platform",
            "gpu_unsupported",
        ),
        ("torch/distributed/rendezvous.py:new_group", "RuntimeError: lost", "dist_unreachable"),
    ],
)
def test_by_class_names_what_the_root_s_class_and_its_place_tell(
    place: str, said: str, cause: str
) -> None:
    assert why(place, said).cause == cause


@pytest.mark.parametrize(
    ("place", "said"),
    [
        ("/srv/serve.py:main", "KeyError: 'x'"),
        ("nixl/_api.py:load", "IndexError: list index out of range"),
        ("vllm/v1/core/x.py:check", "IndexError: device 4 is not one of those that were given"),
        ("vllm/v1/core/x.py:check", "AssertionError: Not enough NUMA nodes are allowed"),
        ("vllm/v1/core/x.py:check", "RuntimeError: Failed to start it"),
        ("vllm/v1/core/x.py:check", "ValueError: [Errno 9] of the host"),
        ("torch/distributed/rendezvous.py:f", "RuntimeError: No backend type for device cuda"),
    ],
)
def test_by_class_says_nothing_of_what_a_person_s_message_may_mean_otherwise(
    place: str, said: str
) -> None:
    assert why(place, said).cause in ("unknown", "kv_transfer")


def test_by_class_names_the_place_of_a_mistake() -> None:
    assert "(vllm/v1/core/x.py, check)" in why("vllm/v1/core/x.py:check", "KeyError: 3").explanation


def test_by_class_looks_at_the_chain_that_ended_the_run_and_at_nothing_before_it() -> None:
    first = CORE + "OSError: what is this"
    assert why("vllm/v1/core/x.py:check", "KeyError: 'x'", first).cause == "engine_bug"


def test_by_class_knows_python_s_own_words_of_a_process_whose_traceback_is_not_there() -> None:
    said = "AttributeError: 'OddTokenizer' object has no attribute 'all_special_ids'"
    for process in ("(APIServer pid=1) ", CORE):
        assert diagnose(Facts("1", (process + said,))).cause == "engine_bug"
    assert diagnose(Facts("1", (said,))).cause == "unknown", "nobody says that vLLM printed it"
    assert diagnose(Facts("1", (CORE + "KeyError: 'x'",))).cause == "unknown"
