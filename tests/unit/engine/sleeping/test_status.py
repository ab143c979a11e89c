from vllmd.engine.sleeping.status import SleepStatus


def test_status_is_written_as_it_is() -> None:
    shown = SleepStatus(level=2, asleep_at=1.0, by="root").to_json()
    assert (shown["level"], shown["asleep_at"], shown["settled"]) == (2, 1.0, False)
