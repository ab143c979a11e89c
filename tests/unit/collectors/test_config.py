import pytest

from tests.helpers.metrics import values
from vllmd.collectors.config import ConfigCollector


@pytest.mark.parametrize("good", [True, False])
def test_collect_says_whether_the_file_is_good(good: bool) -> None:
    found = values(ConfigCollector(good).collect())
    assert found == {("vllmd_config_last_load_successful",): float(good)}
