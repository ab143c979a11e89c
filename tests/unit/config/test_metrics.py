import pytest

from tests.helpers.metrics import values
from vllmd.config.fleet import FleetConfig
from vllmd.config.metrics import ConfigCollector


@pytest.mark.parametrize(("good", "at"), [(True, 5.0), (False, 5.0), (False, None)])
def test_collect_says_whether_the_file_is_good_and_when_it_was(
    good: bool, at: float | None
) -> None:
    found = values(ConfigCollector(lambda: (good, at)).collect())
    when = {("vllmd_config_last_reload_success_timestamp_seconds",): at} if at else {}
    assert found == {("vllmd_config_last_reload_successful",): float(good), **when}


def test_collect_says_how_many_replicas_stay_where_the_fleet_has_a_name() -> None:
    fleet = FleetConfig(name="prod", min_ready=2)
    found = values(ConfigCollector(lambda: (True, None), fleet=lambda: fleet).collect())
    assert found["vllmd_fleet_min_ready", "prod"] == 2
    assert len(values(ConfigCollector(lambda: (True, None)).collect())) == 1


def test_collect_says_the_same_of_the_web_configuration_and_counts_its_logins() -> None:
    collector = ConfigCollector(lambda: (True, None), lambda: (False, 7.0), lambda: {"wrong": 3})
    assert values(collector.collect()) == {
        ("vllmd_config_last_reload_successful",): 1.0,
        ("vllmd_web_config_last_reload_successful",): 0.0,
        ("vllmd_web_config_last_reload_success_timestamp_seconds",): 7.0,
        ("vllmd_web_logins_total", "wrong"): 3.0,
    }
