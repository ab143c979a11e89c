from tests.helpers.metrics import values
from vllmd.daemon.metrics.parts import PartsCollector
from vllmd.util.parts import PartRunner


def test_collect_says_how_often_each_part_failed_and_zero_too() -> None:
    parts = PartRunner()
    parts.know("disk")
    parts.note("webhook", ValueError("x"))
    parts.note("webhook", ValueError("x"))
    assert values(PartsCollector(parts, lambda: 3).collect()) == {
        ("vllmd_part_failures_total", "disk"): 0.0,
        ("vllmd_part_failures_total", "webhook"): 2.0,
        ("vllmd_daemon_unexpected_ends_total",): 3.0,
    }
