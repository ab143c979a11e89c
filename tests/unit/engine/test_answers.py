from vllmd.engine.answers import Answers
from vllmd.engine.exits import WRONG_ANSWERS
from vllmd.engine.liveness.reading import PageAnswer, RankProgress, Reading


def reading(running: float, waiting: float = 0.0) -> Reading:
    return Reading(0.0, PageAnswer.PAGE, {"0": RankProgress(1.0, running, waiting)})


def test_withheld_requests_are_told_once_and_end_with_the_run() -> None:
    told: list[str | None] = []
    answers = Answers()
    answers.changed = lambda: told.append(answers.wrong)
    answers.withhold("far")
    answers.withhold("far")
    assert told == ["far"]
    answers.over()
    assert answers.wrong is None


def test_verdict_is_of_the_run_that_was_asked() -> None:
    answers = Answers()
    assert answers.verdict("a") is None
    answers.end("a", "far")
    assert answers.verdict("a") == (WRONG_ANSWERS, "far")
    assert answers.verdict("b") is None


def test_probe_between_two_looks_is_seen_once() -> None:
    answers = Answers()
    assert not answers.was_probed()
    with answers.probing(1):
        pass
    assert answers.was_probed()
    assert not answers.was_probed()
    with answers.probing(1):
        assert answers.was_probed()
        assert answers.was_probed()


def test_requests_of_a_probe_are_none_of_clients() -> None:
    answers = Answers()
    with answers.probing(5):
        assert answers.requests(reading(5)) == (0, 0)
        assert answers.requests(reading(7, 2)) == (2, 2)
        assert answers.requests(reading(3, 4)) == (0, 2)
    assert answers.requests(reading(5)) == (0, 0), "a page that was read before they ended"
    assert answers.requests(reading(5)) == (5, 0)


def test_verdict_that_comes_after_the_table_was_removed_does_nothing() -> None:
    answers = Answers()
    answers.use(withholds=True)
    answers.end("a", "far")
    answers.use(withholds=False)
    answers.withhold("far")
    assert answers.wrong is None
    assert answers.verdict("a") is None
    answers.end("a", "far")
    assert answers.verdict("a") is None
