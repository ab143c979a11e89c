from tests.helpers.make import DATA
from vllmd.engine.log_reading.phase import Phase
from vllmd.engine.log_reading.reading import read_output
from vllmd.logs.milestones import TRACEBACK

UP = "(APIServer pid=1) INFO:     Application startup complete."
CORE = "(EngineCore pid=7) ERROR 11-23 19:{m}:22 [core.py:1233] "
FATAL = CORE + "EngineCore encountered a fatal error."
ECHO = "(APIServer pid=1) ERROR 11-23 19:09:23 [a.py:4] EngineDeadError: see above"


def core(text: str, minute: str = "09") -> str:
    return CORE.format(m=minute) + text


def test_root_is_the_first_exception_that_is_no_echo() -> None:
    reading = read_output(
        [core("KeyError: 'a'"), "RuntimeError: Engine core initialization failed."]
    )
    assert reading.root is not None
    assert reading.root.quote == "KeyError: 'a'"
    assert reading.process == "EngineCore"
    assert not reading.ready


def test_root_of_an_engine_that_served_is_at_its_fatal_line_not_before() -> None:
    earlier = core("ValueError: LoRA rank 64 is greater than max_lora_rank 16.", "01")
    lines = [UP, earlier, FATAL.format(m="09"), core("KeyError: 'a'"), ECHO]
    reading = read_output(lines)
    assert reading.root is not None
    assert reading.root.quote == "KeyError: 'a'"
    assert reading.phase is Phase.SERVING


def test_root_may_be_what_a_worker_said_just_before_the_core() -> None:
    worker = "(Worker_TP0 pid=9) ERROR 11-23 19:09:21 [m.py:5] RuntimeError: boom"
    reading = read_output(
        [UP, worker, FATAL.format(m="09"), core("RuntimeError: Worker failed with error 'boom'")]
    )
    assert reading.root is not None
    assert reading.root.quote == "RuntimeError: boom"


def test_root_is_not_what_a_worker_said_of_a_request_that_was_survived() -> None:
    worker = "(Worker_TP0 pid=9) ERROR 11-23 19:09:20 [m.py:5] "
    refused, boom = "ValueError: LoRA rank 64 is greater", "RuntimeError: boom"
    invocation = [core("Invocation of add_lora method failed"), core(TRACEBACK), core(refused)]
    failed = core("RuntimeError: Worker failed with error 'boom', please check")
    lines = [UP, worker + refused, *invocation, worker + boom, FATAL.format(m="09"), failed]
    for given in (lines, [lines[0], lines[1], *lines[5:]]):
        root = read_output(given).root
        assert root is not None
        assert root.quote == boom


def test_errors_of_requests_alone_are_no_sign() -> None:
    request = "(APIServer pid=1) ERROR 11-23 19:01:00 [serving_chat.py:9] ValueError: too long"
    reading = read_output([UP, request, "(APIServer pid=1) INFO:     Shutting down"])
    assert reading.signs == ()
    assert reading.root is None


def test_quote_of_a_validation_error_has_its_reason() -> None:
    lines = ["ValidationError: 1 validation error for ModelConfig", "  Value error, no such thing"]
    root = read_output(lines).root
    assert root is not None
    assert root.quote.endswith("for ModelConfig: Value error, no such thing")


def test_reading_of_echoes_alone_is_cut() -> None:
    assert read_output(
        ["RuntimeError: Engine core initialization failed. See root cause above."]
    ).is_cut
    assert not read_output(["KeyError: 'a'"]).is_cut


def test_reading_of_a_recorded_end_has_its_root() -> None:
    log = DATA / "engine-logs" / "cpu-0.32-lora-rank-too-high.log"
    root = read_output(log.read_text(errors="replace").splitlines()).root
    assert root is not None
    assert "LoRA rank 32 is greater" in root.quote


def test_a_traceback_that_somebody_printed_while_the_engine_goes_on_is_no_sign() -> None:
    served = '(APIServer pid=1) INFO:     127.0.0.1:1 - "POST /v1/completions HTTP/1.1" 200 OK'
    printed = [TRACEBACK, '  File "a.py", line 1, in <module>', "KeyError: 'a'"]
    assert read_output([UP, *printed, served]).signs == ()
    assert read_output([UP, served, *printed]).root is not None


def test_run_that_is_known_to_have_served_did_so_though_its_output_does_not_say_it() -> None:
    end = core("EngineCore hit an exception")
    lines = [core("ValueError: asked for too much", "01"), end, core("KeyError: 'a'")]
    assert not read_output(lines).ready
    assert read_output(lines).phase is not Phase.SERVING
    reading = read_output(lines, served=True)
    assert reading.ready
    assert reading.root is not None
    assert reading.root.quote == "KeyError: 'a'"


def test_run_that_served_and_was_started_again_by_a_script_had_not_served_again() -> None:
    banner = "INFO 11-23 18:50:00 [api_server.py:1] vLLM API server version 0.32.0"
    lines = [banner, UP, FATAL.format(m="09"), banner, core("KeyError: 'a'")]
    assert not read_output(lines, served=True).ready


PASSED_ON = (
    "RuntimeError: Worker failed with error 'out of paper', please check the stack trace above "
    "for the root cause"
)


def test_root_is_what_a_worker_said_where_only_the_process_above_has_its_words() -> None:
    reading = read_output([core("EngineCore failed to start."), core(PASSED_ON), ECHO])
    assert reading.root is not None
    assert reading.root.quote == "out of paper"
    assert not reading.is_cut


def test_root_is_the_workers_own_exception_where_the_output_has_it() -> None:
    worker = "(Worker_TP0 pid=9) ERROR 11-23 19:09:21 [a.py:1] ValueError: out of paper"
    reading = read_output([worker, core(PASSED_ON), ECHO])
    assert reading.root is not None
    assert reading.root.quote == "ValueError: out of paper"


def test_what_a_launcher_says_of_an_exit_code_is_no_root() -> None:
    reading = read_output([core(PASSED_ON), "srun: error: n4: task 0: Exited with exit code 1"])
    assert reading.root is not None
    assert reading.root.quote == "out of paper"


def test_root_is_what_a_worker_said_though_it_died_after_it_and_a_death_before_it_is() -> None:
    died = core("Worker proc VllmWorker-0 died unexpectedly, shutting down executor.")
    after = read_output([core(PASSED_ON), died])
    assert after.root is not None
    assert (after.root.quote, after.root.passed_on) == ("out of paper", True)
    before = read_output([died, core(PASSED_ON)])
    assert before.root is not None
    assert "died unexpectedly" in before.root.quote


def test_a_step_that_fails_is_of_an_engine_that_served_though_its_start_is_cut_off() -> None:
    step = [
        core("Traceback (most recent call last):"),
        core('  File "/v/core.py", line 9, in _process_engine_step'),
        core("    outputs = self.step_fn()"),
        core("RuntimeError: called without output"),
    ]
    assert read_output(step).ready


def test_error_that_was_logged_before_a_start_went_on_is_no_sign() -> None:
    kernel = core("Cannot use FA version 2 is not supported")
    loaded = "(EngineCore pid=7) INFO 11-23 19:09:30 [m.py:1] Model loading took 3.97 GiB"
    assert read_output([kernel, loaded]).signs == ()
    assert [sign.index for sign in read_output([loaded, kernel]).signs] == [1]
    thrown = core("KeyError: 'a'")
    assert [sign.index for sign in read_output([thrown, loaded]).signs] == [0]


def test_root_of_two_that_say_the_same_is_the_one_with_a_traceback() -> None:
    frame = '  File "/x/vllm/model_executor/layers/linear.py", line 589, in weight_loader'
    lines = ["AssertionError", TRACEBACK, frame, "AssertionError", "Process ended", ECHO]
    root = read_output(lines).root
    assert root is not None
    assert root.thrown is not None
    assert root.thrown.functions == ("weight_loader",)
