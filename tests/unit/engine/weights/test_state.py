from vllmd.engine.weights.state import WeightsState, WeightsStatus


def test_to_json_has_the_state_as_text() -> None:
    status = WeightsStatus(WeightsState.READY, 1.0, "/log", 2, 2)
    assert status.to_json()["state"] == "ready"
    assert type(status.to_json()["state"]) is str
