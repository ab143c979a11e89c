"""Hosts to which what alerts are for is done, and what is told of them."""

import os
from collections.abc import Callable, Collection, Iterator
from pathlib import Path
from typing import Self

import pytest

from tests.helpers.alertmanager import Alertmanager, alertmanager, unquieted
from tests.helpers.played_pages import PATIENCE_S, PlayedPages
from tests.helpers.site import Site, wait_for
from tests.timelines.evaluation import Told
from vllmd.monitoring.settings import RuleSettings

SMALL = frozenset({"VllmdDiskFull", "VllmdDiskFilling"})
BUSY = (
    frozenset({"VllmdLate"}),
    frozenset({"VllmdTtftBudgetBurn", "VllmdTtftBudgetSlowBurn"}),
    frozenset({"VllmdItlBudgetBurn", "VllmdItlBudgetSlowBurn"}),
)
"""What is true of a machine that tests, and has a small disk or much to do; where one is provoked,
that is not said of its kind."""
BUSY_S = 120.0
"""How long an engine of a test may take to be ready, on a machine that has much to do."""
Watch = Callable[[Site, str], "Watched"]


def about(alert: str) -> pytest.MarkDecorator:
    """Say which alert a test provokes."""
    return pytest.mark.parametrize("alert", [alert])


class Watched(PlayedPages):
    """The pages of a host, for one alert."""

    def __init__(self, made: Site, alert: str, told_by: Alertmanager, folder: Path) -> None:
        super().__init__(made, f"{alert}:9840")
        self._alert, self._told_by, self.folder = alert, told_by, folder
        self._ignored = frozenset().union(*(kind for kind in (SMALL, *BUSY) if alert not in kind))

    def well(self, minutes: int = 20, beside: Collection[str] = ()) -> Self:
        """Take the page for so long, once nothing fires by what was done to the host before.

        `beside` are engines that have faults of their own all the time.
        """
        fire: list[Told] = []

        def quiet() -> bool:
            self.begin_anew().look(minutes)
            fire[:] = [
                each
                for each in self._told()
                if each.labels.get("vllmd_engine") not in beside
                and not any(each.name in kind for kind in BUSY)
            ]
            return not fire

        try:
            wait_for("a host that is well", quiet, PATIENCE_S)
        except AssertionError:
            raise AssertionError(f"before anything was done, these fire: {fire}") from None
        return self

    def _told(self, settings: RuleSettings | None = None) -> list[Told]:
        return [each for each in self.told(self.folder, settings) if each.name not in self._ignored]

    def only(self, settings: RuleSettings | None = None, engine: str | None = None) -> list[str]:
        """This alert fires, and Alertmanager keeps all others quiet that do; returns those.

        `engine` is the one that is meant, where others have faults of their own.
        """
        found = [
            each
            for each in self._told(settings)
            if engine is None or each.labels.get("vllmd_engine", engine) == engine
        ]
        fire = sorted({each.name for each in found})
        assert self._alert in fire, fire
        self._told_by.tell(*((each.labels, each.annotations) for each in found))
        unquieted(self._told_by, {self.host: {self._alert}})
        for each in found:
            for text in each.annotations.values():
                assert "<no value>" not in text, each
                assert "error expanding" not in text.lower(), each
        return [name for name in fire if name != self._alert]

    def nothing(self) -> None:
        """No alert fires, at any minute."""
        assert not self.told_meanwhile(self.folder) - self._ignored


@pytest.fixture(scope="session")
def told_by(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Alertmanager]:
    with alertmanager(tmp_path_factory.mktemp("alertmanager")) as made:
        yield made


@pytest.fixture
def watch(told_by: Alertmanager, tmp_path: Path) -> Watch:
    return lambda made, alert: Watched(made, alert, told_by, tmp_path)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """With VLLMD_TESTS_BACKWARDS=1 the last cause is the first: none needs another before it."""
    if os.environ.get("VLLMD_TESTS_BACKWARDS"):
        items.reverse()
