"""The picture of a GPU's memory knows all owners, and has its bounds in it."""

from vllmd.gpu.memory_shares import Owner
from vllmd.monitoring.dashboards.owners import OWNERS, memory_of_a_gpu


def test_every_owner_has_an_area_and_a_colour_of_its_own() -> None:
    assert set(OWNERS) == {str(owner) for owner in Owner}
    assert len(set(OWNERS.values())) == len(OWNERS)
    panel = memory_of_a_gpu().to_json(1, 0, 0)
    areas = list(zip(panel["targets"], panel["fieldConfig"]["overrides"], strict=True))
    for owner, (target, override) in zip(OWNERS, areas, strict=False):
        assert f'owner="{owner}"' in target["expr"]
        assert override["matcher"] == {"id": "byFrameRefID", "options": target["refId"]}
        (colour,) = override["properties"]
        assert colour["value"]["fixedColor"] == OWNERS[owner]


def test_bounds_are_dashed_lines_outside_of_the_stack() -> None:
    panel = memory_of_a_gpu().to_json(1, 0, 0)
    assert panel["repeat"] == "gpu"
    dashed = {}
    for target, override in zip(panel["targets"], panel["fieldConfig"]["overrides"], strict=True):
        looks = {each["id"]: each["value"] for each in override["properties"]}
        if "custom.lineStyle" in looks:
            dashed[target["legendFormat"]] = looks["custom.stacking"]["mode"]
    assert dashed == {
        "total": "none",
        "{{vllmd_engine}} budget": "none",
        "kept free for the host": "none",
    }


def test_what_a_restart_lacks_is_a_red_area_below_zero() -> None:
    panel = memory_of_a_gpu().to_json(1, 0, 0)
    assert "min" not in panel["fieldConfig"]["defaults"]
    (lacks,) = [t for t in panel["targets"] if t["legendFormat"].endswith("lacks for a restart")]
    assert lacks["expr"].endswith("< 0")
