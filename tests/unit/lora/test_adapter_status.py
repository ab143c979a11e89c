from vllmd.lora.adapter_status import AdapterCondition, AdapterStatuses
from vllmd.lora.desired import AdapterSource, DesiredAdapter

WANT = DesiredAdapter("/a", AdapterSource.COMMAND)


def statuses() -> AdapterStatuses:
    made = AdapterStatuses()
    made.retain(["a"])
    return made


def test_an_adapter_is_pending_then_loaded_then_stale() -> None:
    made = statuses()
    assert made.of("a", WANT, None).condition is AdapterCondition.PENDING
    made.loaded("a", "files", 5.0, 0.25)
    status = made.of("a", WANT, "/a")
    assert (status.condition, status.changed_at, status.load_duration_s) == (
        AdapterCondition.LOADED,
        5.0,
        0.25,
    )
    made.files("a", "others")
    assert made.of("a", WANT, "/a").stale
    made.files("a", "files")
    assert not made.of("a", WANT, "/a").stale


def test_a_failure_is_told_once_and_tried_after_growing_pauses() -> None:
    made, told, pauses, now = statuses(), [], [], 0.0
    for _ in range(9):
        told.append(made.failed("a", "no", "files", at=1.0, now=now, settle=False))
        pause = 0.0
        while not made.due("a", now + pause, "files"):
            pause += 5.0
        pauses.append(pause)
        now += pause
    assert told == [True] + [False] * 8
    assert pauses == [10, 20, 40, 80, 160, 320, 600, 600, 600]
    status = made.of("a", WANT, None)
    assert (status.condition, status.reason, status.errors) == (
        AdapterCondition.FAILED,
        "no",
        9,
    )


def test_a_failure_is_tried_at_once_when_the_files_change_or_somebody_asks() -> None:
    made = statuses()
    made.failed("a", "no", "files", at=1.0, now=0.0, settle=False)
    assert not made.due("a", 1.0, "files")
    assert made.due("a", 1.0, "others")
    made.retry("a")
    assert made.due("a", 1.0, "files")


def test_a_copy_under_way_is_no_failure_until_it_stands_still() -> None:
    made = statuses()
    for size in ("1", "2", "3"):
        assert not made.failed("a", f"{size} of 9", size, at=1.0, now=0.0, settle=True)
        assert made.of("a", WANT, None).errors == 0
    assert made.failed("a", "3 of 9", "3", at=1.0, now=0.0, settle=True)
    assert made.of("a", WANT, None).errors == 1


def test_lost_is_told_once_of_what_was_loaded() -> None:
    made = statuses()
    assert not made.lost("a")
    made.loaded("a", "files", 5.0, 0.25)
    assert [made.lost("a"), made.lost("a")] == [True, False]


def test_restarted_forgets_what_was_loaded_not_what_was_counted() -> None:
    made = statuses()
    made.failed("a", "no", "files", at=1.0, now=0.0, settle=False)
    made.restarted()
    assert made.due("a", 0.0, "files")
    assert not made.lost("a")
    assert made.of("a", WANT, None).errors == 1


def test_retain_forgets_the_others() -> None:
    made = statuses()
    made.failed("a", "no", "files", at=1.0, now=0.0, settle=False)
    made.retain([])
    made.retain(["a"])
    assert made.of("a", WANT, None).errors == 0
