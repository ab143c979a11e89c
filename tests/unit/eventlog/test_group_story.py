import attrs

from vllmd.eventlog.group_story import with_groups
from vllmd.events.base import TypedEvent
from vllmd.events.engine import EngineExited, EngineSpawned
from vllmd.events.groups import GroupFailed

FIRST = GroupFailed(
    host="gpu02",
    text="exited with code 0 unexpectedly",
    cause="worker_died",
    explanation="It was killed.",
    advice="Look at memory.",
    evidence=("a line",),
)


@attrs.frozen
class Step:
    told: TypedEvent | None


def exited(*, requested: bool) -> Step:
    return Step(
        EngineExited(
            code="0",
            requested=requested,
            text="exited",
            run_id="r",
            cause="group_lost",
            phase=None,
            killed=(),
            incident="/incident",
            last_line=None,
        )
    )


def test_with_groups_a_heads_end_is_told_by_the_first() -> None:
    (step,) = with_groups([exited(requested=False), Step(FIRST)])
    told = step.told
    assert isinstance(told, EngineExited)
    assert (told.cause, told.incident, told.run_id) == ("worker_died", "/incident", "r")
    assert told.explanation == "On gpu02: It was killed."
    assert "gpu02: exited with code 0" in told.text


def test_with_groups_a_members_requested_end_is_not_the_failure() -> None:
    steps = with_groups([exited(requested=True), Step(FIRST)])
    assert len(steps) == 2
    told = steps[1].told
    assert isinstance(told, EngineExited)
    assert not told.requested
    assert told.cause == "worker_died"


def test_with_groups_an_end_before_the_last_start_is_another() -> None:
    spawned = Step(EngineSpawned(pid=1, shim_pid=2, run_id="s", command=""))
    steps = with_groups([exited(requested=False), spawned, Step(FIRST)])
    assert [type(step.told) for step in steps] == [EngineExited, EngineSpawned, EngineExited]


def test_with_groups_of_one_host_changes_nothing() -> None:
    steps = [exited(requested=False), Step(None)]
    assert with_groups(steps) == steps
