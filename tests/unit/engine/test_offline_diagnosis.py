import pytest

from tests.helpers.make import DATA
from vllmd.engine.offline_diagnosis import diagnose_output, label_of


def log(name: str) -> list[str]:
    return (DATA / "engine-logs" / f"{name}.log").read_text(errors="replace").splitlines()


@pytest.mark.parametrize(
    ("first", "last", "cause"),
    [
        ("cpu-0.32-lora-rank-too-high", "cpu-0.32-engine-core-killed", "engine_core_died"),
        ("cpu-0.32-engine-core-killed", "cpu-0.32-lora-rank-too-high", "lora_rank"),
        ("cpu-0.32-model-not-found", "h200-0.25-kv-cache-too-small", "kv_cache_too_small"),
        ("h200-0.25-kv-cache-too-small", "cpu-0.32-sigterm-idle", "killed"),
    ],
)
def test_diagnose_output_of_a_log_with_several_runs_is_about_the_last(
    first: str, last: str, cause: str
) -> None:
    assert diagnose_output([*log(first), *log(last)], None).cause == cause


@pytest.mark.parametrize(
    ("code", "label"),
    [(None, "unknown"), (0, "0"), (1, "1"), (137, "SIGKILL"), (-9, "SIGKILL"), (143, "SIGTERM")],
)
def test_label_of_names_signals(code: int | None, label: str) -> None:
    assert label_of(code) == label


def test_diagnose_output_without_an_error_says_so() -> None:
    assert diagnose_output(["INFO all is well"], None).explanation == "The output shows no error."
    assert diagnose_output(["INFO all is well"], 137).cause == "killed"
    unknown = diagnose_output(["FooError: what is that"], 1)
    assert (unknown.cause, unknown.evidence) == ("unknown", ("FooError: what is that",))
