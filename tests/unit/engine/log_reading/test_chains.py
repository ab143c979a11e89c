import time

import pytest

from vllmd.engine.log_reading.chains import Depth, chains_of, ending
from vllmd.engine.log_reading.entries import read_entries
from vllmd.engine.log_reading.reading import read_output
from vllmd.engine.log_reading.thrown import Thrown
from vllmd.engine.log_reading.tracebacks import read_exceptions
from vllmd.logs.milestones import TRACEBACK

WORKER = "(Worker_TP0 pid=9) ERROR 11-23 19:06:43 [m.py:5] "
CORE = "(EngineCore pid=7) ERROR 11-23 19:06:44 [core.py:9] "
API = "(APIServer pid=1) "
FRAME = '  File "/x/vllm/a.py", line 1, in f'
DURING = "During handling of the above exception, another exception occurred:"
DIED = "RuntimeError: Engine core initialization failed."


def thrown(prefix: str, header: str, *said: str) -> list[str]:
    lines = [header] if header else []
    for number, each in enumerate(said):
        lines += [*(("", DURING, "") if number else ()), TRACEBACK, FRAME, each]
    return [prefix + line for line in lines]


def own(each: Thrown) -> bool:
    return "Engine core init" not in each.text and "Worker failed" not in each.text


def ended(lines: list[str]) -> list[list[str]]:
    chains = chains_of(read_exceptions(read_entries(lines)))
    return [[each.text for each in chain.members] for chain in ending(chains, own)]


def test_chain_has_the_exceptions_that_led_to_each_other() -> None:
    lines = [*thrown(CORE, "A", "KeyError: 1", "ValueError: 2"), *thrown(CORE, "B", "OSError: 3")]
    chains = chains_of(read_exceptions(read_entries(lines)))
    assert [[each.name for each in chain.members] for chain in chains] == [
        ["KeyError", "ValueError"],
        ["OSError"],
    ]


def test_chain_has_the_exception_that_a_message_quotes() -> None:
    raised = thrown(CORE, "A", "torch._dynamo.exc.BackendCompilerFailed: backend='x' raised:")
    lines = [*raised, CORE + "RuntimeError: Failed to find C compiler."]
    (chain,) = chains_of(read_exceptions(read_entries(lines)))
    assert [each.name for each in chain.members] == ["BackendCompilerFailed", "RuntimeError"]
    original = thrown("", "", "ValueError: not available. Original error:") + thrown(
        "", "", "ModuleNotFoundError: No module named 'x'"
    )
    assert len(chains_of(read_exceptions(read_entries(original)))) == 1


def test_ending_begins_in_the_innermost_process() -> None:
    lines = [
        *thrown(CORE, "EngineCore failed to start.", "RuntimeError: Worker failed with error"),
        *thrown(WORKER, "WorkerProc failed to start.", "KeyError: 'x'"),
        *thrown(API, "", DIED),
    ]
    assert ended(lines)[0] == ["KeyError: 'x'"]


def test_ending_has_nothing_that_was_survived() -> None:
    survived = thrown(CORE, "Failed to import them", "ImportError: no kernels")
    lines = [*survived, *thrown(CORE, "EngineCore failed to start.", "KeyError: 'x'")]
    assert ended(lines) == [["KeyError: 'x'"]]
    assert ended(survived) == []


def test_ending_of_a_server_alone_is_its_last_traceback() -> None:
    lines = [*thrown("", "Trying", "OSError: 1"), *thrown("", "", "ValueError: 2")]
    assert ended(lines) == [["ValueError: 2"]]


def test_ending_goes_on_to_the_process_below_whose_message_is_repeated() -> None:
    said = "RuntimeError: the very same words"
    lines = [*thrown(WORKER, "Odd words", said), *thrown(CORE, "EngineCore failed to start.", said)]
    assert ended(lines)[0] == [said]
    chains = chains_of(read_exceptions(read_entries(lines)))
    assert ending(chains, own)[0].depth is Depth.WORKER


@pytest.mark.long
def test_chains_of_thousands_of_exceptions_take_no_square_of_them() -> None:
    """Found by `make fuzz`: 4,000 lines of exceptions took two seconds, 40,000 four minutes."""
    began = time.process_time()
    read_output(["ValueError: x"] * 20_000)
    assert time.process_time() - began < 10
