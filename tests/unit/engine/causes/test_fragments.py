"""A line or two of a log, as people quote them: what they name by themselves, and what not."""

import pytest

from vllmd.engine.causes.base import Diagnosis, Kind
from vllmd.engine.offline_diagnosis import diagnose_output

SITE = "/opt/venv/lib/python3.12/site-packages"


def why(*lines: str, code: int = 1) -> Diagnosis:
    return diagnose_output(lines, code)


@pytest.mark.parametrize(
    ("line", "cause"),
    [
        ("ValueError: invalid literal for int() with base 10: 'true'", "config_rejected"),
        (
            "ValueError: could not convert string to float: 'tcp://192.0.2.1:8000'",
            "config_rejected",
        ),
        ("ValueError: invalid literal for int() with base 10: 'ab12'", "unknown"),
        (
            "RuntimeError: The size of tensor a (6) must match the size of tensor b (7)",
            "engine_bug",
        ),
        (
            "KeyError: 'layers.2.mlp.experts.w2_weight_quantizer._double_scale'",
            "checkpoint_mismatch",
        ),
        ("KeyError: 'model.layers.0.self_attn.attn'", "unknown"),
        ("OSError: Incorrect path_or_model_id: '/m'. Please provide a path", "model_not_found"),
        ("OSError: a/b does not appear to have files named ('x.json',)", "model_not_found"),
        ("AttributeError: '_C' object has no attribute 'rms_norm'", "broken_install"),
        ("ImportError: /x/_C.abi3.so: undefined symbol: _ZN3c10", "broken_install"),
        ("ninja: build stopped: subcommand failed.", "compiler_missing"),
        (
            "a.cu:5:10: fatal error: flashinfer/page.cuh: No such file or directory",
            "compiler_missing",
        ),
        (
            'RuntimeError: Assertion error (x.hpp:9): false and "NVCC compilation failed"',
            "compiler_missing",
        ),
        (
            "RuntimeError: Prefill failed with error an illegal memory access was encountered",
            "cuda_error",
        ),
        (
            "RuntimeError: NPU function error: aclrtSetDevice(device_id_), error code is 507033",
            "cuda_error",
        ),
        ("RuntimeError: NPU function error: at_npu::native::AclSetCompileopt", "unknown"),
        ("ValueError: ProcessGroupNCCL is only supported with GPUs, no GPUs found!", "no_gpu"),
        ("RuntimeError: NRT_UNSUPPORTED_NEFF_VERSION: Unsupported NEFF Version", "driver_mismatch"),
        ("ValueError: Tensor parallel size (2) exceeds available GPUs (1).", "parallel_misfit"),
        ("ptxas /tmp/a.ptx, line 9; fatal   : Unsupported .version 9.4", "compiler_missing"),
        ("memory, the estimated maximum model length is 22448. Try", "kv_cache_too_small"),
        ("ValueError: placement group bundle index 3 is invalid.", "ray_resources"),
        (
            "ValueError: Watermarking supports only one way of speculative decoding.",
            "config_rejected",
        ),
        (
            "ValueError: Target and draft model should have the same vocabulary size.",
            "config_rejected",
        ),
    ],
)
def test_a_line_that_stands_alone(line: str, cause: str) -> None:
    assert why(line).cause == cause


def test_an_assertion_without_a_word_is_known_by_its_own_line() -> None:
    place = f'  File "{SITE}/vllm/v1/worker/gpu_model_runner.py", line 9, in load_model'
    lines = ("EngineCore failed to start.", "Traceback (most recent call last):", place)
    core = "(EngineCore pid=7) ERROR 11-23 19:06:44 [core.py:1231] "
    said = ("    assert self.total_num_heads % tp_size == 0", "AssertionError")
    found = why(*(core + line for line in (*lines, *said)))
    assert found.cause == "parallel_misfit"
    assert found.evidence == ("AssertionError (assert self.total_num_heads % tp_size == 0)",)
    other = ("    assert self.total_num_heads > tp_size", "AssertionError")
    assert why(*(core + line for line in (*lines, *other))).cause == "engine_bug"


def test_words_of_a_setting_are_none_where_pytorch_says_them() -> None:
    said = "ValueError: infer_schema(func): Parameter x has unsupported type"
    place = f'  File "{SITE}/{{}}", line 9, in f'
    frames = ("Traceback (most recent call last):", place.format("vllm/x/ops.py"))
    raised = place.format("torch/_library/infer_schema.py")
    assert why(*frames, raised, said).cause == "engine_bug"
    assert why(*frames, said).cause == "config_rejected"


def test_what_a_kernel_asserts_of_its_call_is_of_a_combination() -> None:
    said = "Assertion error (/x/deepgemm-src/csrc/apis/a.hpp:233): next_n == 1 or next_n == 2"
    core = "(EngineCore pid=7) ERROR 11-23 19:06:44 [core.py:1231] "
    failed = core + "EngineCore failed to start."
    passed = f"RuntimeError: Worker failed with error '{said}', please check the stack trace above"
    assert why(failed, core + passed).cause == "unsupported_combination"


def test_a_worker_s_refusal_that_names_a_setting_is_certain_and_holds_nothing() -> None:
    at = "(Worker_TP0 pid=88) ERROR 11-12 07:31:10 [multiproc_executor.py:1101] "
    lines = (
        "WorkerProc hit an exception.",
        "Traceback (most recent call last):",
        f'  File "{SITE}/vllm/v1/executor/multiproc_executor.py", line 9, in worker_busy_loop',
        f'  File "{SITE}/vllm/v1/worker/gpu/pcp_manager.py", line 9, in validate',
    )
    said = "NotImplementedError: This does not support CUDA graphs yet."
    silent = why(*(at + line for line in (*lines, said)))
    assert (silent.cause, silent.perhaps) == ("unknown", "config_rejected")
    for words in (" Set -cc.cudagraph_mode=NONE.", " Use --enforce-eager.", " Set VLLM_X_Y=1."):
        named = why(*(at + line for line in (*lines, said + words)))
        assert (named.cause, named.kind) == ("config_rejected", Kind.TRANSIENT)


def test_a_record_whose_time_was_left_out_has_its_level_and_its_place() -> None:
    at = "(Worker_TP4 pid=1576) ERROR ... [multiproc_executor.py:971] "
    place = at + '  File ".../vllm/v1/worker/workspace.py", line 160, in _ensure_workspace_size'
    said = (
        "AssertionError: Workspace is locked but allocation requires 4.00 MB, growth is not allowed"
    )
    assert why(place, at + said, code=0).cause == "engine_bug"


def test_header_before_the_first_of_the_records_on_one_line() -> None:
    at = "(Worker_TP0 pid=9) ERROR 05-12 09:17:24 [multiproc_executor.py:932] "
    place = f'File "{SITE}/vllm/model_executor/models/pixtral.py", line 9, in forward'
    parts = ("Traceback (most recent call last):", place, "TypeError: 'int' object is not iterable")
    line = " ".join(("WorkerProc hit an exception.", *(at + part for part in parts)))
    assert why(line).evidence[0] == "TypeError: 'int' object is not iterable"


def test_code_that_met_no_key_and_a_method_that_is_not_there_are_mistakes() -> None:
    core = "(EngineCore_0 pid=142) ERROR 09-30 14:04:50 [core.py:702] "
    begin = core + "Traceback (most recent call last):"
    place = f'  File "{SITE}/vllm/v1/worker/gpu_model_runner.py", line 712, in _prepare_inputs'
    assert why(begin, place, "KeyError: None").cause == "engine_bug"
    refused = "NotImplementedError: Method 'initialize_nixl' is not implemented."
    method = f'  File "{SITE}/vllm/utils.py", line 2216, in run_method'
    assert why(begin, method, refused).cause == "engine_bug"


def test_what_a_worker_said_is_known_by_its_class_where_only_the_core_has_its_words() -> None:
    passed = "RuntimeError: Worker failed with error 'expected mat1 and mat2 to have the same dtype"
    assert why(f"{passed}, but got: a != b'").cause == "engine_bug"
    assert why(passed.replace("expected mat1 and mat2", "x and y")).cause == "unknown"


def test_lines_behind_an_assertion_that_says_nothing_are_none_of_its() -> None:
    lines = ("    assert len(keys) == len(ids)", "AssertionError", "", "then EngineDeadError came")
    place = f'  File "{SITE}/vllm/v1/core/x.py", line 9, in f'
    found = why("Traceback (most recent call last):", place, *lines)
    assert found.cause == "engine_bug"
    assert not any("EngineDeadError" in line for line in found.evidence)
