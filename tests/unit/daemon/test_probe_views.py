from types import SimpleNamespace
from typing import Any

import pytest

from tests.helpers.make import config, engine, gpu_device, status
from vllmd.config.gpus import gpus_used
from vllmd.daemon.probe_views import view_of
from vllmd.engine.answers import Answers
from vllmd.gpu.snapshot import SeenXid
from vllmd.scrape.families import parse_page

PAGE = b'# TYPE vllm:corrupted_requests counter\nvllm:corrupted_requests_total{engine="0"} 3.0\n'


class Case:
    def __init__(self) -> None:
        self.answers, self.spent = Answers(), list[tuple[Any, ...]]()
        self.page: Any = None
        self.errors: dict[str, float] = {}
        supervisor = SimpleNamespace(status=status(run_id="one"), answers=self.answers)
        source = SimpleNamespace(last=None)
        self.source = source
        self.engines = SimpleNamespace(supervisors={"chat": supervisor}, sources={"chat": source})
        self.state_file = SimpleNamespace(late=None)
        gpus = SimpleNamespace(
            gpus_of=lambda of: [gpu_device(f"GPU-{n}") for n in range(gpus_used(of))],
            state_file=self.state_file,
            xids=SimpleNamespace(of=lambda _: (SeenXid.of(79, 2, 1.0),)),
            values=lambda _: self.errors,
        )
        costs = SimpleNamespace(asked=lambda *asked: self.spent.append(asked))
        made: Any = view_of
        self.config = config("[engines.chat]\nmodel = 'm'\n")
        self.view = made(self.engines, gpus, costs, lambda: self.config, engine())


def test_view_shows_the_engine_as_it_is_now() -> None:
    case = Case()
    found = case.view.status()
    assert found is not None
    assert found.run_id == "one"
    assert case.view.answers() is case.answers
    case.engines.supervisors.clear()
    assert case.view.status() is None
    assert case.view.answers() is None


def test_view_counts_xids_and_ecc_errors() -> None:
    case = Case()
    assert case.view.gpus().names == ("NVIDIA H200",)
    uuid = "GPU-0"
    assert case.view.gpus().faults == {f"xids {uuid}": 2}
    case.errors = {"ecc_errors_total:uncorrected": 5.0}
    assert case.view.gpus().faults == {f"xids {uuid}": 2, f"ecc {uuid}": 5}
    case.state_file.late = "no answer"
    assert case.view.gpus().faults == {f"ecc {uuid}": 5}


def test_view_has_vllms_count_of_what_is_no_number() -> None:
    case = Case()
    assert case.view.corrupted() is None
    case.source.last = SimpleNamespace(families=parse_page(PAGE, "chat").families)
    assert case.view.corrupted() == 3


def test_tokens_of_a_probe_are_told_to_who_counts_costs() -> None:
    case = Case()
    case.view.spent("one", 20, 16, 1)
    assert case.spent == [("chat", "one", 20, 16, 1)]


@pytest.mark.parametrize("value", ["NaN", "+Inf", "-1.0", "1e300"])
def test_what_is_no_count_is_not_known(value: str) -> None:
    """It is shown as JSON, which has neither."""
    case = Case()
    page = PAGE.replace(b"3.0", value.encode())
    case.source.last = SimpleNamespace(families=parse_page(page, "chat").families)
    assert case.view.corrupted() is None


def test_view_has_the_gpus_of_the_configuration_that_is_in_force() -> None:
    case = Case()
    assert case.view.gpus().uuids == ("GPU-0",)
    two = "[engines.chat]\nmodel = 'm'\nflags = { tensor-parallel-size = 2 }\n"
    case.config = config(two)
    assert case.view.gpus().uuids == ("GPU-0", "GPU-1")
    case.config = config("[engines.other]\nmodel = 'm'\n")
    assert case.view.gpus().uuids == ("GPU-0",)
