import pytest

from vllmd.engine.log_reading.entries import read_entries
from vllmd.engine.log_reading.reading import read_output
from vllmd.engine.log_reading.serving import at_work, ready_from
from vllmd.engine.log_reading.tracebacks import read_exceptions

UP = "(APIServer pid=1) INFO:     Application startup complete."
BANNER = "(APIServer pid=1) INFO 11-23 19:06:44 [a.py:1] non-default args: {'model': 'm'}"
ASKED = 'INFO:     192.0.2.9:41 - "POST /v1/completions HTTP/1.1" 500 Internal Server Error'
RATE = "INFO 11-23 19:06:44 [loggers.py:1] Engine 000: Avg prompt throughput: 1.2 tokens/s"
REFUSED = "ERROR 11-23 19:06:44 [serving_chat.py:9] ValueError: this model does not support images"
CORE = "(EngineCore pid=7) ERROR 11-23 19:06:44 [core.py:1] ValueError: Unsupported thing"


def ready(*lines: str, served: bool = False) -> tuple[int | None, bool]:
    return ready_from(read_entries(lines), served=served)


def test_ready_from_is_where_the_server_says_so() -> None:
    assert ready(BANNER, UP, ASKED) == (1, True)
    assert ready(BANNER, CORE) == (None, False)
    assert ready(CORE, served=True) == (-1, False)


@pytest.mark.parametrize("line", [ASKED, RATE, REFUSED])
def test_ready_from_is_before_the_beginning_of_a_cut_log_whose_engine_answers(line: str) -> None:
    assert ready(CORE, line) == (-1, False)


def test_ready_from_takes_no_answer_of_a_run_before_the_last_banner() -> None:
    assert ready(ASKED, BANNER, CORE) == (None, False)
    assert ready(BANNER, RATE, CORE) == (1, False)


@pytest.mark.parametrize(
    "line",
    [
        '127.0.0.1 - - [04/Oct/2026 20:05:20] "GET /health HTTP/1.1" 200 -',
        "WARNING 11-23 19:06:44 [a.py:1] Avg prompt throughput: 1",
        "ERROR 11-23 19:06:44 [serving_rank.cpp:1] ValueError: x",
    ],
)
def test_ready_from_takes_no_line_of_others_for_an_answer(line: str) -> None:
    assert ready(line) == (None, False)


def test_error_of_a_request_is_no_sign_though_its_engine_s_start_is_cut() -> None:
    assert read_output([REFUSED]).signs == ()
    assert read_output([CORE, REFUSED]).signs == ()


@pytest.mark.parametrize(
    ("header", "function", "works"),
    [
        ("EngineCore failed to start.", "load_model", False),
        ("EngineCore failed to start.", "engine_step", True),
        ("EngineCore encountered a fatal error.", "load_model", True),
    ],
)
def test_at_work_is_an_exception_that_only_an_engine_which_served_throws(
    header: str, function: str, *, works: bool
) -> None:
    lines = (header, "Traceback (most recent call last):", f'  File "a.py", line 1, in {function}')
    prefix = CORE.removesuffix("ValueError: Unsupported thing")
    (thrown,) = read_exceptions(read_entries([prefix + line for line in (*lines, "KeyError: 1")]))
    assert at_work(thrown) is works


@pytest.mark.parametrize(
    ("functions", "works"),
    [
        (("worker_busy_loop", "execute_model"), True),
        (("worker_busy_loop", "add_lora"), False),
        (("worker_busy_loop", "compile_or_warm_up_model", "execute_model"), False),
        (("worker_main", "execute_model"), False),
    ],
)
def test_at_work_is_what_a_worker_throws_while_it_computes(
    functions: tuple[str, ...], *, works: bool
) -> None:
    frames = [f'  File "a.py", line 1, in {function}' for function in functions]
    lines = ["WorkerProc hit an exception.", "Traceback (most recent call last):", *frames]
    prefix = "(Worker_TP1 pid=8) ERROR 11-23 19:06:44 [multiproc_executor.py:880] "
    entries = read_entries([prefix + line for line in (*lines, "KeyError: 1")])
    (thrown,) = read_exceptions(entries)
    assert at_work(thrown) is works


def test_what_a_worker_throws_while_it_computes_ended_an_engine_that_served() -> None:
    frames = ("worker_busy_loop", "execute_model")
    lines = ["Traceback (most recent call last):", *(f'  File "a", line 1, in {f}' for f in frames)]
    prefix = "(Worker_TP1 pid=8) ERROR 11-23 19:06:44 [multiproc_executor.py:880] "
    said = [prefix + line for line in (*lines, "torch.AcceleratorError: CUDA error: x")]
    (sign,) = read_output([UP, *said]).signs
    assert sign.lines == ("torch.AcceleratorError: CUDA error: x",)
