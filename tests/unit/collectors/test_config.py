import pytest

from tests.helpers.metrics import values
from vllmd.collectors.config import ConfigCollector


@pytest.mark.parametrize(("good", "at"), [(True, 5.0), (False, 5.0), (False, None)])
def test_collect_says_whether_the_file_is_good_and_when_it_was(
    good: bool, at: float | None
) -> None:
    found = values(ConfigCollector(lambda: (good, at)).collect())
    when = {("vllmd_config_last_reload_success_timestamp_seconds",): at} if at else {}
    assert found == {("vllmd_config_last_reload_successful",): float(good), **when}
