"""The panel of owners knows all of them."""

from vllmd.gpu.memory_shares import Owner
from vllmd.monitoring.dashboards.owners import OWNERS, memory_by_owner
from vllmd.monitoring.dashboards.panels import GPUS


def test_every_owner_has_an_area_and_a_colour_of_its_own() -> None:
    assert set(OWNERS) == {str(owner) for owner in Owner}
    assert len(set(OWNERS.values())) == len(OWNERS)
    panel = memory_by_owner("H.", "owner", GPUS, "", width=8).to_json(1, 0, 0)
    assert [target["legendFormat"] for target in panel["targets"]] == list(OWNERS)
    for target, override in zip(panel["targets"], panel["fieldConfig"]["overrides"], strict=True):
        assert override["matcher"] == {"id": "byFrameRefID", "options": target["refId"]}
        (colour,) = override["properties"]
        assert colour["value"]["fixedColor"] == OWNERS[target["legendFormat"]]
        assert f'owner="{target["legendFormat"]}"' in target["expr"]
