"""What rules make of replicas that are not meant to be ready, by promtool."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest

from tests.timelines.evaluation import Series, Told, evaluate

HOUR_M = 60
WELL_M, ILL_M = 20, 100
"""So many minutes all is well, and then something is not."""
Values = Sequence[float | None]


def then(well: float | None, ill: float | None) -> Values:
    return [well] * WELL_M + [ill] * ILL_M


def host(
    name: str,
    model: str,
    states: tuple[str, str | None],
    *,
    scraped: float = 1.0,
    wanted: float | None = 1.0,
) -> dict[str, Values]:
    """Return a host with one engine, by its states; a second one of None is no engine any more."""
    of_host = f'instance="{name}:9840",job="vllmd"'
    of = f'{of_host},vllmd_engine="chat"'
    well, ill = states
    there = None if ill is None else 1.0
    about = f'fleet="prod",model="{model}",version="0.32.0",command_hash="a"'
    ready = None if ill is None else float(ill == "ready")
    found: dict[str, Values] = {
        f"up{{{of_host}}}": then(1.0, scraped),
        f"vllmd_engine_info{{{of},{about}}}": then(1.0, there),
        f"vllmd_engine_wanted{{{of}}}": then(1.0, wanted if there else None),
        f"vllmd_engine_up{{{of}}}": then(1.0, ready),
        f"vllmd_engine_takes_requests{{{of}}}": then(1.0, ready),
        f'vllmd_fleet_min_ready{{{of_host},fleet="prod"}}': then(1.0, scraped or None),
    }
    for each in {well, ill} - {None}:
        now = None if ill is None else float(each == ill)
        found[f'vllmd_engine_state{{{of},state="{each}"}}'] = then(float(each == well), now)
    return found


def told(series: Series, folder: Path, at_m: int = WELL_M + 20) -> list[Told]:
    """Return what is told of replicas."""
    (found,) = evaluate(series, [at_m], folder)
    return [each for each in found if each.name.startswith("VllmdReplicas")]


@pytest.mark.parametrize(
    "series",
    [
        host("a", "m", ("ready", "sleeping")),
        host("a", "m", ("ready", "stopped"), wanted=0.0),
        host("a", "m", ("ready", None)),
    ],
    ids=["sleeps", "was stopped", "was taken out of the configuration"],
)
def test_replica_that_is_not_meant_to_be_ready_is_not_missed(
    tmp_path: Path, series: Mapping[str, Values]
) -> None:
    assert told(series, tmp_path) == []


def test_replica_of_a_host_that_is_down_is_missed_for_an_hour(tmp_path: Path) -> None:
    series = host("a", "m", ("ready", None), scraped=0.0)
    (found,) = told(series, tmp_path)
    assert (found.name, found.labels["model"]) == ("VllmdReplicasNone", "m")
    assert told(series, tmp_path, WELL_M + HOUR_M + 10) == []


def test_one_that_slept_when_its_host_went_down_is_not_missed(tmp_path: Path) -> None:
    asleep = host("a", "m", ("sleeping", None), scraped=0.0)
    assert told(asleep, tmp_path) == []


@pytest.mark.parametrize(("other", "models"), [("ready", None), ("loading", "all")])
def test_whether_any_model_serves_is_told_with_it(
    tmp_path: Path, other: str, models: str | None
) -> None:
    """Where one does, an engine of it that is held is told all the same."""
    series = {**host("a", "m", ("ready", "held")), **host("b", "n", ("ready", other))}
    found = [each for each in told(series, tmp_path) if each.labels["model"] == "m"]
    none = next(each for each in found if each.name == "VllmdReplicasNone")
    assert none.labels.get("models") == models


def test_model_whose_neighbour_comes_and_goes_is_told_all_the_time(tmp_path: Path) -> None:
    flaps = host("b", "n", ("ready", "loading"))
    of = 'instance="b:9840",job="vllmd",vllmd_engine="chat"'
    there = [1.0] * WELL_M + [float(minute % 2) for minute in range(ILL_M)]
    flaps[f"vllmd_engine_up{{{of}}}"] = flaps[f"vllmd_engine_takes_requests{{{of}}}"] = there
    series = {**host("a", "m", ("ready", "held")), **flaps}
    for at_m in range(WELL_M + 5, WELL_M + 10):
        found = [each for each in told(series, tmp_path, at_m) if each.labels["model"] == "m"]
        (none,) = [each for each in found if each.name == "VllmdReplicasNone"]
        assert "models" not in none.labels
