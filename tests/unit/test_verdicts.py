"""The corpus of tests/verdicts: are its cases well formed, and what they claim to be?"""

from collections import Counter

from tests.verdicts.corpus import BY_NAME, SUBJECTS, cases
from tests.verdicts.model import VERSIONS
from tests.verdicts.wrappers import WRAPPERS

CASES = list(cases())
ENOUGH = 150


def test_corpus_has_enough_cases_in_all_versions_and_wrappers() -> None:
    assert len(CASES) >= ENOUGH
    assert {case.version for case in CASES} == set(VERSIONS)
    assert {case.wrapper for case in CASES} == set(WRAPPERS)


def test_cases_have_names_of_their_own() -> None:
    assert not [name for name, times in Counter(case.name for case in CASES).items() if times > 1]
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
        for case in CASES
        if (words := case.failure.words)
        and not any(words in _unescaped(line) for line in case.lines)
    ]
    assert not missing


def _unescaped(line: str) -> str:
    return line.replace('\\"', '"')


def test_lines_are_lines() -> None:
    assert not [case.name for case in CASES for line in case.lines if "\n" in line]


def test_third_of_the_kinds_is_held_out() -> None:
    held = sum(failure.held_out for failure in BY_NAME.values())
    assert 0.28 < held / len(BY_NAME) < 0.39


def test_cases_are_the_same_each_time() -> None:
    assert list(cases()) == CASES
