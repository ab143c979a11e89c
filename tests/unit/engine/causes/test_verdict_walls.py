"""What is a wall, a setting or somebody else's memory, and what only looks like one."""

import pytest

from tests.helpers.engine_lines import API, CORE, FATAL, OOM, UP, cause_of
from vllmd.engine.causes import CAUSES
from vllmd.engine.causes.base import Facts, Kind
from vllmd.engine.causes.verdict import choose


def test_choose_takes_one_line_that_looks_like_an_exception_for_no_end_of_an_engine() -> None:
    dead = API + "[async_llm.py:9] EngineDeadError: EngineCore encountered an issue."
    said = "OSError: 401 for token x"
    assert cause_of("0", UP, said, dead) == "engine_core_died"
    thrown = [
        "Traceback (most recent call last):",
        '  File "/x/core.py", line 1, in step',
        "    go()",
    ]
    told = [CORE + line for line in (*thrown, said)]
    assert cause_of("0", UP, FATAL, *told, dead) == "engine_bug"
    assert cause_of("0", UP, CORE + said, FATAL, dead) == "engine_bug"


def test_choose_takes_a_file_that_goes_missing_in_a_compiler_s_cache_for_no_wall() -> None:
    for path in (
        "/root/.triton/cache/de75/fused_moe_kernel.json.tmp.pid_213_c0a0",
        "/tmp/torchinductor_root/xg/cxg.py",
    ):
        gone = f"FileNotFoundError: [Errno 2] No such file or directory: '{path}'"
        assert cause_of("1", CORE + gone) == "compile_cache"
    named = "FileNotFoundError: [Errno 2] No such file or directory: '/srv/template.jinja'"
    assert cause_of("1", CORE + named) == "file_missing"


def test_choose_takes_an_engine_s_weights_for_damaged_only_while_it_starts() -> None:
    cut = CORE + "OSError: unexpected end of file"
    assert cause_of("1", cut) == "weights_damaged"
    prompt = CORE + "ValueError: the prompt of request cmpl-1 was truncated to 0 tokens"
    assert cause_of("0", UP, FATAL, prompt) == "engine_bug"


def test_choose_takes_a_socket_that_waited_in_vain_for_no_limit_of_the_host() -> None:
    waited = "zmq.error.Again: Resource temporarily unavailable"
    assert cause_of("0", UP, FATAL, CORE + waited) == "engine_bug"
    asked = (
        "Traceback (most recent call last):",
        '  File "/v/vllm/distributed/kv_transfer/kv_connector/v1/n.py", line 9, in _handshake',
        waited,
    )
    assert cause_of("0", UP, FATAL, *(CORE + line for line in asked)) == "kv_transfer"
    fork = CORE + "BlockingIOError: [Errno 11] Resource temporarily unavailable"
    assert cause_of("1", fork) == "limit_reached"


def test_choose_takes_a_file_that_goes_missing_under_an_engine_that_serves_for_no_wall() -> None:
    gone = CORE + "FileNotFoundError: [Errno 2] No such file or directory: '/srv/x'"
    assert cause_of("0", UP, FATAL, gone) == "engine_bug"
    assert cause_of("1", gone) == "file_missing"


def test_choose_names_the_memory_where_the_kernel_says_whom_it_killed_for_it() -> None:
    killed = "[Mon Nov 24 10:11:12 2025] Memory cgroup out of memory: Killed process 24101 (py)"
    assert cause_of("SIGKILL", killed) == "host_out_of_memory"
    assert cause_of("SIGKILL", "/run.sh: line 3:    17 Killed       vllm serve m") == "killed"


def test_choose_takes_a_compiler_that_was_killed_for_no_missing_one() -> None:
    failed = CORE + "RuntimeError: Ninja build failed. Ninja output:"
    why = CORE + "c++: fatal error: Killed signal terminated program cc1plus"
    found = choose(CAUSES, Facts("1", (failed, why)))
    assert found is not None
    assert (found.cause, found.kind) == ("host_out_of_memory", Kind.TRANSIENT)
    assert "MAX_JOBS" in found.advice
    assert cause_of("1", failed) == "compiler_missing"


def test_choose_holds_no_engine_for_memory_that_others_have() -> None:
    started = CORE + "EngineCore failed to start."
    sizes = " GPU 0 has a total capacity of 79.15 GiB of which 12.56 MiB is free. Including "
    hidden = OOM + sizes + "non-PyTorch memory, this process has 7.40 GiB memory in use."
    found = choose(CAUSES, Facts("1", (started, hidden)))
    assert found is not None
    assert (found.cause, found.kind) == ("cuda_out_of_memory", Kind.TRANSIENT)
    assert "71.7 GiB" in found.explanation
    own = OOM + sizes + "non-PyTorch memory, this process has 78.90 GiB memory in use."
    walled = choose(CAUSES, Facts("1", (started, own)))
    tail = choose(CAUSES, Facts("1", (own,)))
    assert walled is not None
    assert tail is not None
    assert (walled.kind, tail.kind) == (Kind.CONFIGURATION, Kind.TRANSIENT)


@pytest.mark.parametrize(
    ("line", "cause"),
    [
        (
            'docker: Error response from daemon: could not select device driver "" with '
            "capabilities: [[gpu]].",
            "no_gpu",
        ),
        (
            "nvidia-container-cli: initialization error: nvml error: driver not loaded: unknown.",
            "driver_mismatch",
        ),
        ("KeyError: 'model.layers.0.mlp.down_proj.weight_scale'", "checkpoint_mismatch"),
        (
            "openai_harmony.HarmonyError: error downloading or loading vocab file: failed",
            "hub_unreachable",
        ),
        (
            "ValueError: max_num_seqs (256) exceeds available Mamba cache blocks (113).",
            "kv_cache_too_small",
        ),
        (
            "ValueError: The decoder prompt (length 5012) is longer than the maximum model length "
            "of 4096.",
            "config_rejected",
        ),
        ("yaml.scanner.ScannerError: while scanning for the next token", "config_rejected"),
        ("TypeError: Descriptors cannot be created directly.", "broken_install"),
    ],
)
def test_choose_names_what_a_start_prints(line: str, cause: str) -> None:
    assert cause_of("1", line) == cause


def test_choose_takes_a_variable_that_vllm_cannot_read_for_a_setting() -> None:
    lines = (
        "Traceback (most recent call last):",
        '  File "/v/vllm/envs.py", line 9, in get_vllm_port',
        "ValueError: VLLM_PORT 'tcp://192.0.2.9:8000' appears to be a URI.",
    )
    assert cause_of("1", *lines) == "config_rejected"


@pytest.mark.parametrize(
    ("line", "cause"),
    [
        ("AssertionError: 4097 is not divisible by 4", "parallel_misfit"),
        ("RuntimeError: shape mismatch: value tensor of shape [1200, 8]", "checkpoint_mismatch"),
    ],
)
def test_choose_takes_sizes_for_settings_only_while_an_engine_starts(line: str, cause: str) -> None:
    assert cause_of("1", CORE + line) == cause
    assert cause_of("0", UP, FATAL, CORE + line) == "engine_bug"


def test_choose_takes_what_the_code_that_loads_weights_does_not_support_for_a_setting() -> None:
    lines = (
        "Traceback (most recent call last):",
        '  File "/v/vllm/model_executor/model_loader/b.py", line 9, in _load_weights',
        "ValueError: Prequant models with tensor parallelism is not supported.",
    )
    assert cause_of("1", *(CORE + line for line in lines)) == "config_rejected"


def test_choose_takes_the_kernel_s_word_for_what_made_a_call_to_the_gpu_fail() -> None:
    failed = CORE + "torch.AcceleratorError: CUDA error: unspecified launch failure"
    xid = "[Sat Dec 20 09:33:04 2025] NVRM: Xid (PCI:0000:41:00): {}, pid=1234, GPU"
    assert cause_of("0", UP, xid.format(79), FATAL, failed) == "gpu_fault"
    assert cause_of("0", UP, xid.format(31), FATAL, failed) == "cuda_error"


def test_choose_takes_the_word_of_a_job_s_manager_for_memory_and_not_for_a_new_run() -> None:
    killed = "slurmstepd: error: Detected 1 oom_kill event in StepId=1234.0."
    assert cause_of("SIGKILL", killed) == "host_out_of_memory"
    core = "(EngineCore pid=7) RuntimeError: No CUDA GPUs are available"
    main = (
        "Traceback (most recent call last):",
        '  File "/v/bin/vllm", line 1, in <module>',
        "RuntimeError: Engine core initialization failed. See root cause above.",
    )
    assert cause_of("1", core, *main, "srun: error: node01: task 0: Exited with 1") == "no_gpu"


@pytest.mark.parametrize(
    "header", ["Exception in thread Thread-1 (_report_usage_worker):", "Failed to load plugin foo"]
)
def test_choose_takes_nothing_from_what_a_start_went_on_without(header: str) -> None:
    survived = (
        header,
        "Traceback (most recent call last):",
        '  File "/v/vllm/x.py", line 9, in _work',
        "PermissionError: [Errno 13] Permission denied: '/.config'",
        "",
    )
    ended = CORE + "torch.AcceleratorError: CUDA error: an illegal memory access was encountered"
    assert cause_of("1", *survived, ended) == "cuda_error"
    assert cause_of("1", *survived) == "permission_denied"


def test_choose_takes_a_loopback_address_for_wrong_only_while_an_engine_starts() -> None:
    lost = CORE + "RuntimeError: [/gloo/tcp/pair.cc:5] Connection closed by peer [127.0.0.1]:51"
    assert cause_of("0", UP, FATAL, lost) == "peer_lost"
    assert cause_of("1", lost) == "gloo_loopback"


def test_choose_takes_a_hub_that_did_not_answer_for_the_reason_of_a_model_that_is_not_found() -> (
    None
):
    asked = API + (
        '[repo_utils.py:65] Error retrieving file list: (MaxRetryError("HTTPSConnectionPool('
        "host='huggingface.co', port=443): Max retries exceeded\")), retrying 1 of 2"
    )
    invalid = API + "[x.py:1] ValueError: Invalid repository ID or local directory specified: 'a/b'"
    assert cause_of("1", asked, invalid) == "hub_unreachable"
    assert cause_of("1", invalid) == "model_not_found"
    told = API + "[repo_utils.py:65] Error: 401 Client Error. Repository Not Found, retrying 1 of 2"
    assert cause_of("1", asked, told, invalid) == "model_not_found"


def test_choose_takes_an_all_reduce_that_met_an_error_of_another_call_for_no_wall() -> None:
    failed = "Failed: Cuda error /workspace/csrc/custom_all_reduce.cuh:368 '{}'"
    met = failed.format("an illegal memory access was encountered")
    found = choose(CAUSES, Facts("0", (UP, met, FATAL, CORE + "RuntimeError: cancelled")))
    alone = choose(CAUSES, Facts("1", (failed.format("invalid argument"),)))
    assert found is not None
    assert alone is not None
    assert (found.cause, found.kind) == ("custom_all_reduce", Kind.TRANSIENT)
    assert (alone.cause, alone.kind) == ("custom_all_reduce", Kind.CONFIGURATION)


def test_choose_takes_what_was_compiled_and_is_cut_off_for_no_damaged_weights() -> None:
    lines = (
        "Traceback (most recent call last):",
        '  File "/v/{}.py", line 9, in load',
        "_pickle.UnpicklingError: pickle data was truncated",
    )
    cached = (CORE + line.format("vllm/compilation/caching") for line in lines)
    weights = (CORE + line.format("torch/serialization") for line in lines)
    assert cause_of("1", *cached) == "compile_cache"
    assert cause_of("1", *weights) == "weights_damaged"


def test_choose_takes_a_file_of_a_download_that_another_one_moved_for_no_wall() -> None:
    moved = "FileNotFoundError: [Errno 2] No such file or directory: '/hub/blobs/ab.incomplete'"
    assert cause_of("1", CORE + moved) is None


def test_choose_knows_the_start_of_one_engine_beside_another_one_that_serves() -> None:
    lines = (
        "EngineCore failed to start.",
        "Traceback (most recent call last):",
        '  File "/v/vllm/v1/engine/core.py", line 9, in {}',
        "{}",
    )
    missing = "FileNotFoundError: [Errno 2] No such file or directory: '/srv/x'"

    def failed(function: str, error: str) -> list[str]:
        return [CORE + line.format(function if "File" in line else error) for line in lines]

    assert cause_of("1", UP, *failed("load_model", missing)) == "file_missing"
    started, served = (
        choose(CAUSES, Facts("1", (UP, *failed(where, "KeyError: 'x'"))))
        for where in ("load_model", "run_busy_loop")
    )
    assert started is not None
    assert served is not None
    assert started.cause == served.cause == "engine_bug"
    assert "ended the start" in started.explanation
    assert "while it served" in served.explanation


def test_choose_takes_connections_that_were_refused_to_the_end_for_the_reason_of_a_kill() -> None:
    full = API + "[base_events.py:1821] socket.accept() out of system resource"
    served = 'INFO:     192.0.2.9:4 - "POST /v1/completions HTTP/1.1" 200 OK'
    assert cause_of("SIGKILL", UP, full) == "limit_reached"
    assert cause_of("SIGKILL", UP, full, served) == "killed"
    facts = Facts("SIGKILL", (UP, full), {"stalled": "no engine step"})
    found = choose(CAUSES, facts)
    assert found is not None
    assert (found.cause, found.kind) == ("limit_reached", Kind.TRANSIENT)
    assert found.evidence[-1] == "no engine step"
