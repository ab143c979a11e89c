from tests.unit.eventlog.test_narrative import NOW, exited, told
from vllmd.eventlog.narrative import tell
from vllmd.eventlog.stories import tell_all


def test_tell_all_tells_of_each_engine_once_as_they_came() -> None:
    both = told(exited(5)) + told(exited(4), engine="embed") + told(exited(3))
    assert tell_all(both, NOW) == [tell("chat", both, NOW), tell("embed", both, NOW)]
    assert tell_all([], NOW) == []
