"""The corpus of tests/verdicts: are its cases well formed, and what they claim to be?"""

from collections import Counter
from functools import cache

import attrs
import pytest
from structlog.testing import capture_logs

from tests.verdicts import formats
from tests.verdicts.corpus import BY_NAME, SUBJECTS, cases
from tests.verdicts.failures import traps
from tests.verdicts.model import VERSIONS, Case, Phase
from tests.verdicts.rendering import before, run_of
from tests.verdicts.wrappers import WRAPPERS
from tools.verdicts import Verdict, judge, table
from vllmd.engine.causes.base import Kind
from vllmd.engine.offline_diagnosis import diagnose_output

pytestmark = pytest.mark.long

ENOUGH = 150


@cache
def every_case() -> list[Case]:
    return list(cases())


def test_corpus_has_enough_cases_in_all_versions_and_wrappers() -> None:
    assert len(every_case()) >= ENOUGH
    assert {case.version for case in every_case()} == set(VERSIONS)
    assert {case.wrapper for case in every_case()} == set(WRAPPERS)


def test_cases_have_names_of_their_own() -> None:
    assert not [
        name for name, times in Counter(case.name for case in every_case()).items() if times > 1
    ]
    assert len(BY_NAME) == sum(map(len, SUBJECTS.values()))


def test_each_failure_says_what_is_right_and_who_prints_it() -> None:
    for failure in BY_NAME.values():
        assert failure.causes, failure.name
        assert failure.source, failure.name
        assert failure.chain or failure.said or failure.exit_code > 128 or not failure.words, (
            failure.name
        )


def test_each_case_has_the_line_that_shows_its_cause() -> None:
    missing = [
        case.name
        for case in every_case()
        if (words := case.failure.words)
        and not any(words in line or words in _unescaped(line) for line in case.lines)
    ]
    assert not missing


def _unescaped(line: str) -> str:
    return line.replace('\\"', '"').replace("\\\\", "\\")


def test_lines_are_lines() -> None:
    assert not [case.name for case in every_case() for line in case.lines if "\n" in line]


def test_third_of_the_kinds_is_held_out() -> None:
    held = sum(failure.held_out for failure in BY_NAME.values())
    assert 0.28 < held / len(BY_NAME) < 0.39


def test_cases_are_the_same_each_time() -> None:
    assert list(cases()) == every_case()


@pytest.fixture(scope="module")
def verdicts(tmp_path_factory: pytest.TempPathFactory) -> list[Verdict]:
    folder = tmp_path_factory.mktemp("live")
    with capture_logs():
        return [judge(case, folder) for case in every_case()]


WRONG: set[str] = set()
"""Kinds that are named wrongly so far; the goal is none."""


def test_why_is_wrong_with_confidence_about_no_other_kind(verdicts: list[Verdict]) -> None:
    wrong = {v.case.failure.name: v.found.cause for v in verdicts if v.wrong}
    assert {kind: cause for kind, cause in wrong.items() if kind not in WRONG} == {}


def test_why_holds_no_engine_that_another_start_mends(verdicts: list[Verdict]) -> None:
    assert not [(v.case.name, v.found.cause) for v in verdicts if v.held]


def test_daemon_that_follows_a_run_finds_the_cause_that_its_file_shows(
    verdicts: list[Verdict],
) -> None:
    found = {v.case.name: (v.found.cause, v.live.end.cause) for v in verdicts if v.live}
    assert len(found) == sum(not case.failure.seen for case in every_case())
    assert {name: both for name, both in found.items() if both[0] != both[1]} == {}


def test_start_that_fails_after_a_run_that_served_in_the_same_file_is_judged_by_itself() -> None:
    differ = {}
    for failure in BY_NAME.values():
        if failure.phase in (Phase.ARGUMENTS, Phase.SERVING):
            continue
        version = failure.versions[-1]
        killed = formats.written(version, before(Phase.SERVING, version))
        lines = formats.written(version, run_of(failure, version))
        alone = diagnose_output(lines, failure.exit_code)
        after = diagnose_output(killed + lines, failure.exit_code)
        if (alone.cause, alone.kind) != (after.cause, after.kind):
            differ[failure.name] = (alone.cause, after.cause)
    assert differ == BEFORE_A_WORD


BEFORE_A_WORD = {
    "illegal-instruction": ("cpu_unsupported", "crashed"),
    "pub-mkl": ("broken_install", "broken_install"),
}
"""Ends before vLLM printed a word: a file does not say that another run had begun."""
TOLD_ANEW = {*traps.EARLIER, "opentelemetry-not-installed"}
"""Of a run before the last one; what the daemon before has read is not known."""


def test_cause_that_is_told_of_a_start_under_way_is_right(verdicts: list[Verdict]) -> None:
    starts = [v for v in verdicts if v.case.failure.phase is not Phase.SERVING]
    told = [v for v in starts if v.live and v.live.early]
    assert len(told) > 0.6 * len(starts)
    wrong = {v.case.failure.name for v in told if not v.right_early}
    assert wrong - WRONG - TOLD_ANEW == set()


def test_table_has_a_row_for_each_subject_and_one_for_all(verdicts: list[Verdict]) -> None:
    rows = table(verdicts)
    assert [row.split()[0] for row in rows[1:]] == [*SUBJECTS, "all"]
    assert f"{len(every_case())}" in rows[-1]
    assert table([])[-1].split()[:2] == ["all", "0"]


def test_verdict_is_right_wrong_or_neither_and_knows_what_a_hold_would_do() -> None:
    case = next(case for case in every_case() if case.failure.name == "port-in-use")
    right = judge(case)
    assert right.right
    assert not right.wrong
    assert right.quoted
    wrong = Verdict(case, attrs.evolve(right.found, cause="other", kind=Kind.HARDWARE, evidence=()))
    assert wrong.wrong
    assert wrong.held
    assert not wrong.quoted
    unknown = Verdict(case, attrs.evolve(right.found, cause="unknown"))
    assert not unknown.right
    assert not unknown.wrong
    assert not unknown.held
