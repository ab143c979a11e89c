"""Tests on a real NVIDIA GPU: `pytest tests/gpu`. Never run in CI; they need PyTorch with CUDA."""

import subprocess
import sys
from pathlib import Path

import pytest

from tests.helpers.outcomes import Outcome, outcome_for

REPORT: list[str] = []


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark everything here."""
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.gpu)


@pytest.fixture(scope="session", autouse=True)
def real_gpu() -> None:
    """Fail where there is no GPU: these tests are only run to see one."""
    done = subprocess.run(["nvidia-smi", "-L"], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    REPORT.append(done.stdout.split(" (UUID")[0])


@pytest.fixture
def outcome(request: pytest.FixtureRequest) -> Outcome:
    """Note what became of a fault."""
    return outcome_for("vllm-gpu", request)


@pytest.hookimpl(trylast=True)
def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Print what was measured."""
    report = sys.modules[__name__].REPORT
    if report:
        terminalreporter.section("measured on a real GPU")
        for line in report:
            terminalreporter.line(line)
