import pytest

from tests.helpers.make import DATA
from vllmd.engine.log_reading.entries import read_entries
from vllmd.engine.log_reading.runs import last_run
from vllmd.engine.log_reading.tracebacks import read_exceptions

BANNER = "(APIServer pid={pid}) INFO 11-23 18:48:58 [a.py:1] vLLM API server version 0.32.0"
ARGS = "(APIServer pid={pid}) INFO 11-23 18:48:58 [a.py:1] non-default args: {{}}"
FAILED = [
    "(APIServer pid=1) RuntimeError: Engine core initialization failed. See root cause above."
]
IMPORT = [
    "Traceback (most recent call last):",
    '  File "/opt/venv/bin/vllm", line 5, in <module>',
    "    from vllm.entrypoints.cli.main import main",
    "ImportError: libcudart.so.12: cannot open shared object file",
]


def begin_of(lines: list[str]) -> int:
    entries = read_entries(lines)
    return last_run(entries, read_exceptions(entries))


def run(pid: int) -> list[str]:
    return [BANNER.format(pid=pid), ARGS.format(pid=pid)]


def log(name: str) -> list[str]:
    return (DATA / "engine-logs" / f"{name}.log").read_text(errors="replace").splitlines()


def test_last_run_of_a_single_one_is_all_of_it() -> None:
    assert begin_of([]) == 0
    assert begin_of(["a", "b"]) == 0
    assert begin_of([*run(1), *FAILED]) == 0


def test_last_run_begins_with_the_early_lines_before_its_banner() -> None:
    early = "INFO 11-23 18:48:50 [__init__.py:216] Automatically detected platform cuda."
    assert begin_of([*run(1), *FAILED, early, *run(2)]) == 3
    assert begin_of([*run(1), early, "fine", *run(2)]) > 1


def test_last_run_that_died_before_its_banner_is_found() -> None:
    assert begin_of([*run(1), *FAILED, *IMPORT]) == 3
    usage = ["usage: vllm [-h]", "vllm: error: unrecognized arguments: --x"]
    assert begin_of([*run(1), *FAILED, *usage]) == 3


def test_last_run_of_recorded_logs_is_the_last_of_them() -> None:
    first, last = log("cpu-0.32-engine-core-killed"), log("cpu-0.32-lora-rank-too-high")
    assert len(first) - 3 <= begin_of([*first, *last]) <= len(first) + 3


def test_last_run_is_not_begun_by_a_second_server_of_one_run() -> None:
    lines = [line.replace("APIServer", "ApiServer_1") for line in run(2)]
    assert begin_of([*run(1), *lines]) == 0


SERVED = [
    "INFO:     Application startup complete.",
    'INFO:     192.0.2.9:4 - "POST /v1/completions HTTP/1.1" 200 OK',
]
BAR = "Capturing CUDA graphs (decode, FULL):  12%|█▏        | 8/67 [00:01<00:09]"
EARLY = "INFO 11-23 18:48:58 [__init__.py:1] Automatically detected platform cuda."


@pytest.mark.parametrize(
    "new",
    [
        run(1),
        [EARLY, *run(1)],
        [EARLY, "KeyError: 1"],
        IMPORT,
        ["usage: vllm serve [model_tag] [options]", "vllm serve: error: unrecognized arguments"],
    ],
)
def test_run_after_one_that_was_killed_while_it_served_begins_after_it(new: list[str]) -> None:
    assert begin_of([*run(1), BAR, *SERVED, *new]) == 5


def test_worker_that_says_so_before_its_engine_serves_begins_no_run() -> None:
    assert begin_of([*run(1), f"(Worker_TP1 pid=9) {EARLY}", BAR, *SERVED]) == 0


def test_last_run_does_not_begin_with_a_second_word_of_a_dead_engine() -> None:
    own = ["Traceback (most recent call last):", '  File "a.py", line 1, in f', "KeyError: 'x'"]
    dead = [own[0], '  File "run.py", line 1, in <module>', "vllm.v1.EngineDeadError: see above"]
    entries = read_entries([*own, *dead, *dead])
    assert last_run(entries, read_exceptions(entries)) == 0


def test_last_run_begins_after_one_that_failed_and_whose_beginning_is_cut() -> None:
    again = "(APIServer pid=9) INFO 02-22 06:35:35 [utils.py:325]  ▄▄ ▄█ █     █  version 0.15.1"
    assert begin_of([*FAILED, "x", again]) == 2
    assert begin_of([*FAILED, again.replace("pid=9", "pid=1")]) == 0, "it says so itself"
    assert begin_of([*FAILED, again.replace("APIServer", "ApiServer_2")]) == 0, "one of several"


def test_last_run_begins_at_a_core_after_one_that_failed_and_said_no_more() -> None:
    old = "(EngineCore pid=7) ERROR 09-18 20:00:00 [core.py:1] ValueError: error of the run before"
    new = "(EngineCore pid=9) INFO 09-18 21:36:10 [gpu_model_runner.py:3120] Model loading took 1"
    assert begin_of([old, "x", new]) == 2
    assert begin_of([old, new, old]) == 0, "the logs of two that are there at once"
    assert begin_of([old.replace("ERROR", "INFO"), new]) == 0, "the first did not fail"
    others = [line.replace("EngineCore", "EngineCore_DP1") for line in (old, new)]
    assert begin_of(others) == 0, "one of several"
