from vllmd.engine.log_reading.entries import read_entries
from vllmd.engine.log_reading.thrown import Thrown
from vllmd.engine.log_reading.tracebacks import read_exceptions


def exceptions(text: str) -> list[Thrown]:
    return read_exceptions(read_entries(text.splitlines()))


def test_thrown_knows_its_name_and_what_its_own_line_says() -> None:
    (one,) = exceptions("torch.cuda.OddError: what")
    assert (one.type, one.name, one.text) == (
        "torch.cuda.OddError",
        "OddError",
        "torch.cuda.OddError: what",
    )
    (silent,) = exceptions("OddError")
    assert silent.text == "OddError"


def test_read_exceptions_takes_bare_lines_behind_a_process_for_its_message() -> None:
    (one,) = exceptions(
        "(EngineCore pid=7) ERROR 10-08 20:33:48 [core.py:708] ValueError: \n"
        "To serve at least one request with the model's max seq len (40960), \n"
        "(5.62 GiB KV cache is needed.\n"
        "(EngineCore pid=7) INFO 10-08 20:33:49 [core.py:1] x"
    )
    assert one.message == "To serve at least one request with the model's max seq len (40960),"
    assert one.more == ("(5.62 GiB KV cache is needed.",)
    (other,) = exceptions("(APIServer pid=1) KeyError\nwarnings.warn(")
    assert (other.message, other.more) == ("", ())


def test_read_exceptions_mends_a_sentence_that_was_broken_for_its_length() -> None:
    broken = "CUDA error: CUDA driver version is\ninsufficient for CUDA runtime version\nSet it."
    for prefix in ("(RayWorkerWrapper pid=5) ", ""):
        (one,) = exceptions(f"{prefix}RuntimeError: {broken}")
        assert one.message == (
            "CUDA error: CUDA driver version is insufficient for CUDA runtime version"
        )
        assert one.more == ("Set it.",)
    (whole,) = exceptions("(A pid=5) RuntimeError: an error that is told in one sentence.\nin x")
    assert (whole.message, whole.more) == ("an error that is told in one sentence.", ())
    (short,) = exceptions("(A pid=5) RuntimeError: too short\nfor a line that was broken")
    assert short.message == "too short"


def test_read_exceptions_takes_the_bare_lines_behind_a_validation_error_for_its_reasons() -> None:
    first = "(APIServer pid=1) pydantic.ValidationError: 1 validation error for ModelConfig"
    reason = "Value error, The checkpoint has model type `x` but Transformers does not know it."
    (one,) = exceptions(f"{first}\n{reason}")
    assert one.more == (reason,)
