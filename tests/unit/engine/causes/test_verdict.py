from collections.abc import Sequence

import pytest

from tests.helpers.engine_lines import (
    API,
    BLOCKS,
    CORE,
    FATAL,
    OOM,
    PEER,
    TRACE,
    UP,
    cause_of,
    thrown,
)
from vllmd.engine.causes import CAUSES
from vllmd.engine.causes.base import Cause, Facts, Found, Kind
from vllmd.engine.causes.verdict import MOST_SIGNS, choose, few, root_phase, unknown
from vllmd.engine.log_reading.phase import Phase
from vllmd.engine.log_reading.reading import OutputReading, read_output
from vllmd.engine.log_reading.sign import Sign


def test_choose_takes_the_most_specific_sign_of_the_chain_wherever_it_stands() -> None:
    assert cause_of("1", *thrown(OOM.removeprefix(CORE), BLOCKS)) == "kv_cache_too_small"
    assert cause_of("1", OOM, CORE + BLOCKS) == "cuda_out_of_memory", "two that are not linked"


def test_choose_takes_no_sign_outside_of_the_chain_that_ended_the_run() -> None:
    survived = thrown(BLOCKS, header="Could not try the other way")
    ended = thrown("torch.OutOfMemoryError: CUDA out of memory.")
    assert cause_of("1", *survived, *ended) == "cuda_out_of_memory"
    assert cause_of("1", *ended, *survived) == "cuda_out_of_memory"
    assert cause_of("1", *survived) == "kv_cache_too_small", "nothing else ended it"


def test_choose_only_suspects_what_an_error_outside_of_the_chain_shows() -> None:
    survived = [line.replace(CORE, "(EngineCore pid=7) ") for line in thrown(BLOCKS, header="Try")]
    found = choose(CAUSES, Facts("1", (*survived, *thrown("OddError: what"))))
    assert found is not None
    assert (found.cause, found.perhaps) == ("unknown", "kv_cache_too_small")
    assert "perhaps kv_cache_too_small" in found.explanation
    assert found.kind is Kind.UNKNOWN, "a suspicion alone is no wall"


def test_choose_takes_nothing_from_processes_that_are_ended_after_the_root() -> None:
    illegal = CORE + "torch.AcceleratorError: CUDA error: an illegal memory access was encountered"
    after = "Failed: Cuda error /workspace/csrc/custom_all_reduce.cuh:455 'invalid argument'"
    assert cause_of("0", UP, FATAL, illegal, after) == "cuda_error"
    assert cause_of("1", after) == "custom_all_reduce"


def test_choose_takes_what_peers_throw_after_a_killed_worker_for_an_echo() -> None:
    died = CORE + "Worker proc VllmWorker-0 died unexpectedly (exit code: -9), shutting down."
    peer = PEER + "torch.distributed.DistBackendError: NCCL error"
    assert cause_of("0", UP, died, peer) == "worker_died"
    assert cause_of("1", peer) == "nccl_failure"


def test_choose_takes_a_network_s_error_after_another_one_for_an_echo() -> None:
    broken = CORE + "KeyError: 'what'"
    peer = PEER + "RuntimeError: Connection closed by peer"
    assert cause_of("1", broken, peer) is None
    assert cause_of("1", peer, broken) == "peer_lost"


def test_choose_takes_nothing_from_a_request_that_failed_just_before_the_core_died() -> None:
    request = API + "[async_llm.py:9] ValueError: LoRA rank 64 is greater than max_lora_rank 16."
    died = API + "[core_client.py:5] Engine core proc died unexpectedly, shutting down client."
    assert cause_of("0", UP, request, died) == "engine_core_died"


def test_choose_takes_nothing_from_a_warning_or_a_request() -> None:
    warning = "(APIServer pid=1) WARNING 11-23 19:06:44 [parallel.py:746] Address already in use."
    prompt = "(APIServer pid=1) INFO 11-23 19:06:44 [logger.py:4] prompt: 'CUDA out of memory'"
    assert cause_of("1", warning, prompt) is None


def test_choose_takes_nothing_from_what_a_start_logged_as_an_error_and_went_on_after() -> None:
    lines = ("Traceback (most recent call last):", '  File "a.py", line 1, in f', "KeyError: 'x'")
    gone = API[:-1] + " [kernels.py:34] Failed to import them: No module named 'triton_kernels'"
    assert cause_of("1", gone) == "broken_install"
    assert cause_of("1", gone, *(CORE + line for line in lines)) is None
    assert cause_of("1", gone, OOM) == "cuda_out_of_memory"


def test_choose_names_how_a_process_ended_only_where_no_exception_says_why() -> None:
    died = CORE + "Worker proc VllmWorker-0 died unexpectedly (exit code: -9), shutting down."
    assert cause_of("0", died) == "worker_died"
    assert cause_of("SIGKILL", CORE + "KeyError: 'what'") is None
    assert cause_of("0", UP, FATAL, CORE + "KeyError: 'what'") == "engine_bug"
    assert cause_of("SIGSEGV") == "crashed"
    assert cause_of("SIGILL") == "cpu_unsupported"


def test_choose_an_engine_that_served_has_the_instructions_of_its_cpu() -> None:
    died = CORE + "Worker proc VllmWorker-0 died unexpectedly (exit code: -4), shutting down."
    assert cause_of("1", died) == "cpu_unsupported"
    assert cause_of("0", UP, died) == "crashed"
    assert cause_of("SIGILL", UP) == "crashed"


def test_choose_says_when_the_memory_ran_out() -> None:
    serving = choose(CAUSES, Facts("0", (UP, FATAL, OOM)))
    loading = choose(CAUSES, Facts("1", (CORE + "EngineCore failed to start.", OOM)))
    assert serving is not None
    assert loading is not None
    assert (serving.kind, loading.kind) == (Kind.TRANSIENT, Kind.CONFIGURATION)
    assert "served" in serving.explanation


def test_unknown_quotes_the_root_and_says_where_and_when_it_came() -> None:
    lines = ("INFO 11-23 19:06:44 [a.py:1] Starting to load model x", CORE + "KeyError: 'what'")
    found = unknown(Facts("1", lines))
    assert found.evidence == ("KeyError: 'what'",)
    assert "EngineCore" in found.explanation
    assert "while the model was loaded" in found.explanation


def test_unknown_of_a_log_that_is_cut_says_so() -> None:
    lines = ("RuntimeError: Engine core initialization failed. See root cause above.",)
    assert "cut off" in unknown(Facts("1", lines)).explanation


def test_unknown_of_silence_says_what_the_exit_code_means() -> None:
    assert "exit code 2" in unknown(Facts("2", ())).explanation


def test_root_phase_without_a_root_is_that_of_the_lines() -> None:
    assert root_phase(Facts("0", (UP,)).reading) is Phase.SERVING


def test_choose_looks_once_at_what_is_said_again_and_again() -> None:
    lines = thrown("OSError: [Errno 28] No space left on device")
    assert cause_of("1", *lines * 200) == "disk_full"


def test_choose_looks_at_a_bounded_number_of_thousands_of_exceptions(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    seen: list[int] = []
    found = Cause.found

    def counted(self: Cause, reading: OutputReading, signs: Sequence[Sign]) -> Found | None:
        seen.append(len(signs))
        return found(self, reading, signs)

    monkeypatch.setattr(Cause, "found", counted)
    many = [f"{CORE}OddError: number {number}" for number in range(5 * MOST_SIGNS)]
    full = f"{CORE}OSError: [Errno 28] No space left on device"
    assert cause_of("1", *many) is None
    assert cause_of("1", full, *many) == "disk_full"
    assert len(seen) <= 2 * 4 * len(CAUSES)
    assert max(seen) <= MOST_SIGNS


def test_few_signs_have_the_root_wherever_it_is() -> None:
    lines = [f"{CORE}odd line {number}" for number in range(3 * MOST_SIGNS)]
    lines[700] = f"{CORE}KeyError: 'root'"
    reading = read_output(lines)
    chosen = few(reading.signs, reading.root)
    assert reading.root in chosen
    assert len(chosen) == MOST_SIGNS


def cut(*said: str) -> list[str]:
    """Return the end of a traceback in a model's code, and nothing else of a log."""
    places = ("models/phi4.py", "models/phi4_audio.py")
    frames = [f'  File "/x/site-packages/vllm/model_executor/{p}", line 9, in f' for p in places]
    return [f"ERROR 11-23 19:06:44 [engine.py:160] {line}" for line in (*frames, *said)]


def test_choose_only_suspects_a_wall_by_its_class_where_nothing_says_that_it_was_a_start() -> None:
    refused = "AssertionError: the encoder's outputs have another length"
    found = choose(CAUSES, Facts("0", tuple(cut(refused))))
    assert found is not None
    assert (found.cause, found.perhaps) == ("unknown", "unsupported_combination")
    assert found.kind is Kind.UNKNOWN
    start = "INFO 11-23 19:06:44 [a.py:1] Starting to load model m..."
    assert cause_of("1", start, *cut(refused)) == "unsupported_combination"
    failed = "RuntimeError: Engine core initialization failed."
    assert cause_of("1", *cut(refused), failed) == "unsupported_combination"


def test_choose_takes_what_is_certain_before_a_suspicion_of_the_same_exception() -> None:
    place = '  File "/x/site-packages/vllm/model_executor/model_loader/utils.py", line 9, in f'
    lines = (
        "EngineCore failed to start.",
        TRACE[0],
        place,
        "TypeError: Qwen.__init__() got an unexpected keyword argument 'vllm_config'",
    )
    assert cause_of("1", *(CORE + line for line in lines)) == "engine_bug"


def test_choose_takes_a_lost_peer_for_an_echo_of_what_another_process_threw_before() -> None:
    method = "Error executing method 'start_worker_execution_loop'. This might cause deadlock"
    worker = "(RayWorkerWrapper pid=570) ERROR 11-23 19:06:40 [worker_base.py:581] "
    server = "ERROR 11-23 19:36:40 [async_llm_engine.py:68] "
    late = "RuntimeError: [gloo/transport/tcp/buffer.cc:81] Timed out waiting 1800000ms for recv"
    illegal = "RuntimeError: CUDA error: unspecified launch failure"
    first = [worker + line for line in (method, *TRACE, illegal)]
    then = [server + line for line in ("Engine background task failed", *TRACE, late)]
    assert cause_of("0", *first, *then) == "cuda_error"
    assert cause_of("0", *then) == "peer_lost"
    lost = [line.replace(illegal, late) for line in first]
    assert cause_of("0", *lost, *then) == "peer_lost"


def test_choose_takes_a_dead_engine_that_is_noticed_first_for_an_echo_of_its_exception() -> None:
    said = "MQLLMEngine is already dead, terminating server process"
    dead = f"CRITICAL 11-23 19:06:44 [launcher.py:99] {said}"
    step = '  File "a.py", line 1, in run_engine_loop'
    engine = "ERROR 11-23 19:06:44 [engine.py:135] "
    own = [engine + line for line in ("Error", TRACE[0], step, "KeyError: 'x'")]
    assert cause_of("0", dead, *own) == "engine_bug"
    assert cause_of("0", dead) == "engine_core_died"


def test_a_core_that_said_that_it_shut_down_is_not_one_that_died() -> None:
    gone = "ERROR 05-12 11:36:01 [core_client.py:704] Engine core proc EngineCore died unexpectedly"
    asked = "(EngineCore pid=970) INFO 05-12 11:36:00 [core.py:1224] Shutdown complete"
    assert cause_of("0", gone) == "engine_core_died"
    assert cause_of("0", asked, gone) is None


def test_a_core_that_died_is_not_excused_by_another_one_or_an_earlier_run_that_shut_down() -> None:
    at = "ERROR 05-12 11:36:01 [core_client.py:704] "
    gone = at + "Engine core proc EngineCore_DP{} died unexpectedly"
    down = "(EngineCore_DP1 pid=97{}) INFO 05-12 11:36:00 [core.py:1224] Shutdown complete"
    works = (
        "(EngineCore_DP{} pid=98{}) INFO 05-12 11:35:00 [core.py:9] Initializing a V1 LLM engine"
    )
    both = works.format(0, 0), works.format(1, 1)
    assert cause_of("0", *both, gone.format(0), down.format(1)) == "engine_core_died"
    assert cause_of("0", works.format(0, 0), down.format(1), gone.format(1)) is None
    assert cause_of("0", down.format(1), works.format(1, 1), gone.format(1)) == "engine_core_died"
    unnamed = gone.replace("proc EngineCore_DP{} ", "process ")
    assert cause_of("0", works.format(0, 0), unnamed, down.format(1)) == "engine_core_died"


def test_what_a_worker_at_work_says_is_no_wall_unless_something_says_that_it_started() -> None:
    lines = thrown(
        "AttributeError: module 'torch.distributed' has no attribute 'recv'",
        header="WorkerProc hit an exception.",
    )
    found = choose(CAUSES, Facts("0", tuple(lines)))
    assert found is not None
    assert (found.cause, found.perhaps, found.kind) == ("unknown", "broken_install", Kind.UNKNOWN)
    failed = CORE + "EngineCore failed to start."
    assert cause_of("1", *lines, failed) == "broken_install"


def test_a_core_whose_last_words_are_cut_in_front_did_not_die_without_a_word() -> None:
    rest = CORE + "        Possible Cause: Available memory is insufficient."
    dead = thrown(
        "vllm.v1.engine.exceptions.EngineDeadError: x", header="AsyncLLM output_handler failed."
    )
    facts = Facts("0", (rest, *dead))
    assert choose(CAUSES, facts) is None
    assert unknown(facts).explanation.startswith("The output is cut off")
    assert cause_of("0", *dead) == "engine_core_died"
    assert cause_of("0", rest.replace("ERROR", "INFO"), *dead) == "engine_core_died"
