"""One real vLLM (the CPU build where there is no GPU) for the whole tier."""

import sys
import time
from collections.abc import Iterator

import pytest

from tests.helpers.outcomes import Outcome, outcome_for
from tests.helpers.ports import free_port
from tests.helpers.prometheus import Prometheus, prometheus
from tests.helpers.real import program_and_model
from tests.helpers.site import Site, site
from vllmd.demo.real import config_text

LOAD_S = 300.0
"""A limit for a test that hangs; a load takes 25 to 40 s on two idle cores."""

STALL_S, HANG_S = 10, 40

LAST = "test_end_of_the_daemon_leaves_nothing"
"""It stops the site of all the others."""

REPORT: list[str] = []


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put the test that stops the site behind those of every file."""
    items.sort(key=lambda item: item.name == LAST)


@pytest.fixture(scope="session")
def real(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """A site whose engine `tiny` is a real vLLM that serves."""
    program, model = program_and_model()
    folder = tmp_path_factory.mktemp("real")
    exporter, api = free_port(), free_port()
    text = config_text(folder, program, model, port=api, exporter_port=exporter)
    text = text.replace("unready_s = 0", "unready_s = 1\ndrain_s = 60")
    text = text.replace("max_model_len = 512", "max_model_len = 4096")
    text = text.replace("[engines.tiny]", "poll_s = 1\n\n[engines.tiny]", 1)
    text += f"""
[engines.tiny.liveness]
stall_s = {STALL_S}
hang_s = {HANG_S}
load_stall_s = 60
canary = true
canary_every_s = 10
"""
    started = time.monotonic()
    with site(folder, text, exporter_port=exporter, api_port=api) as made:
        made.wait_state("tiny", "ready", LOAD_S)
        REPORT.append(f"start to ready: {time.monotonic() - started:.0f} s")
        yield made


@pytest.fixture(scope="session")
def stored(real: Site, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Prometheus]:
    """A real Prometheus that scrapes the site, from its first test to its last."""
    folder = tmp_path_factory.mktemp("prometheus")
    with prometheus(folder, real.exporter.removeprefix("http://")) as made:
        yield made


@pytest.fixture
def outcome(request: pytest.FixtureRequest) -> Outcome:
    """Note what became of a fault."""
    return outcome_for("vllm-0.32-cpu", request)


@pytest.hookimpl(trylast=True)
def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Print what was measured."""
    report = sys.modules[__name__].REPORT
    if report:
        terminalreporter.section("measured on a real vLLM")
        for line in report:
            terminalreporter.line(line)
