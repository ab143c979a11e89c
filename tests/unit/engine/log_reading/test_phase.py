import pytest

from tests.helpers.make import DATA
from vllmd.engine.log_reading.entries import read_entries
from vllmd.engine.log_reading.phase import Phase, is_of_a_start, is_ready, phase_by_lines, phase_of
from vllmd.engine.log_reading.tracebacks import read_exceptions


def log(name: str) -> list[str]:
    return (DATA / "engine-logs" / f"{name}.log").read_text(errors="replace").splitlines()


def test_phase_by_lines_of_recorded_logs() -> None:
    killed = read_entries(log("cpu-0.32-engine-core-killed"))
    assert phase_by_lines(killed, len(killed)) in (Phase.SERVING, Phase.DRAINING)
    small = read_entries(log("h200-0.25-kv-cache-too-small"))
    assert phase_by_lines(small, len(small)) in (Phase.PROFILING, Phase.WARM_UP)
    assert phase_by_lines(small, 0) is Phase.UNKNOWN


@pytest.mark.parametrize(
    ("function", "phase"),
    [
        ("load_model", Phase.LOADING),
        ("determine_available_memory", Phase.PROFILING),
        ("compile_or_warm_up_model", Phase.WARM_UP),
        ("run_busy_loop", Phase.SERVING),
        ("execute_model", Phase.SERVING),
        ("create_engine_config", Phase.CONFIGURATION),
        ("other", Phase.CONFIGURATION),
    ],
)
def test_phase_of_an_exception_is_that_of_its_frames(function: str, phase: Phase) -> None:
    lines = ["Traceback (most recent call last):", f'  File "a.py", line 1, in {function}', "E: x"]
    (thrown,) = read_exceptions(read_entries(lines))
    assert phase_of(thrown, Phase.CONFIGURATION) is phase
    assert phase_of(thrown, Phase.SERVING) is Phase.SERVING


def test_phase_of_a_program_that_said_nothing_before_is_its_imports() -> None:
    lines = [
        "Traceback (most recent call last):",
        '  File "/bin/vllm", line 1, in <module>',
        "E: x",
    ]
    (thrown,) = read_exceptions(read_entries(lines))
    assert phase_of(thrown, Phase.UNKNOWN) is Phase.IMPORTS


def test_is_ready_takes_no_word_for_it_but_the_server_s() -> None:
    ready, other = read_entries(
        ["INFO:     Application startup complete.", "ERROR:    Application startup complete."]
    )
    assert is_ready(ready)
    assert not is_ready(other)


def test_is_of_a_start_knows_an_exception_by_its_frames_and_by_what_was_said_before_it() -> None:
    def thrown(header: str, *functions: str) -> bool:
        frames = [f'  File "a.py", line 1, in {name}' for name in functions]
        lines = [header, "Traceback (most recent call last):", *frames, "KeyError: 1"]
        return is_of_a_start(read_exceptions(read_entries(lines))[0])

    assert thrown("", "load_model", "f")
    assert thrown("EngineCore failed to start.", "f")
    assert not thrown("WorkerProc hit an exception.", "load_model")
    assert not thrown("", "run_busy_loop", "load_model")
    assert not thrown("", "f")
