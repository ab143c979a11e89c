from tests.helpers.metrics import values
from vllmd.notify.metrics import NotificationsCollector
from vllmd.notify.webhook import Outbox


def test_collect_says_what_became_of_notifications() -> None:
    outbox = Outbox()
    collector = NotificationsCollector(outbox)
    assert values(collector.collect()) == {}
    outbox.wanted = True
    outbox.outcomes["failed"] += 2
    outbox.notices.suppressed = 3
    assert values(collector.collect()) == {
        ("vllmd_notifications_total", "sent"): 0.0,
        ("vllmd_notifications_total", "failed"): 2.0,
        ("vllmd_notifications_total", "dropped"): 0.0,
        ("vllmd_notifications_suppressed_total",): 3.0,
        ("vllmd_notifications_waiting",): 0.0,
    }
