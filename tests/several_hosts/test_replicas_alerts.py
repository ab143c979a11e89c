"""What alerts above one host are for, done to two hosts: their real pages, and what rules make."""

from pathlib import Path

import pytest

from tests.helpers.played_pages import PlayedPages
from tests.helpers.replicas import replicas
from tests.timelines.evaluation import Told, evaluate

LEAST = "min_ready = 2\n"
OURS = {"VllmdReplicasNone", "VllmdReplicasLow", "VllmdVersionsDiffer"}


def told(pages: list[PlayedPages], folder: Path) -> list[Told]:
    """Return what fires above the hosts in the last minute of their pages."""
    series = {name: values for each in pages for name, values in each.series().items()}
    minutes = max(len(values) for values in series.values())
    (found,) = evaluate(series, [minutes - 1], folder)
    return [each for each in found if each.name in OURS]


@pytest.mark.parametrize(("stopped", "alerts"), [(0, set()), (1, {"VllmdReplicasLow"})])
def test_too_few_replicas_are_told(tmp_path: Path, stopped: int, alerts: set[str]) -> None:
    with replicas(tmp_path, fleet=LEAST) as made:
        pages = [PlayedPages(site, host).look(10) for host, site in made.sites.items()]
        for site in list(made.sites.values())[:stopped]:
            assert site.vllmd("stop", "chat").returncode == 0
        for number, page in enumerate(pages):
            page.until("vllmd_engine_up", float(number >= stopped)).look(20)
        found = told(pages, tmp_path)
    assert {each.name for each in found} == alerts
    for each in found:
        assert each.labels["fleet"] == "test"
        assert "<no value>" not in str(each.annotations)


def test_hosts_that_are_all_away_are_told_as_one(tmp_path: Path) -> None:
    with replicas(tmp_path, fleet=LEAST) as made:
        pages = [PlayedPages(site, host).look(10) for host, site in made.sites.items()]
        for site in made.sites.values():
            site.stop()
        for page in pages:
            page.away(20)
        (found,) = told(pages, tmp_path)
    assert found.name == "VllmdReplicasNone"
    assert found.labels["model"] == "org/model"


def test_commands_that_differ_are_told_after_an_hour(tmp_path: Path) -> None:
    with replicas(tmp_path) as made:
        first, second = made.sites.items()
        second[1].config.write_text(
            second[1].config.read_text().replace("max_num_seqs = 256", "max_num_seqs = 16")
        )
        assert second[1].vllmd("reload", "--apply").returncode == 0
        second[1].wait_state("chat", "ready", 60)
        pages = [PlayedPages(site, host).look(90) for host, site in (first, second)]
        (found,) = told(pages, tmp_path)
    assert found.name == "VllmdVersionsDiffer"
    assert found.labels["model"] == "org/model"
