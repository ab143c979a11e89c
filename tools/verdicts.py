"""Is `vllmd why --log` right? Over the corpus of tests/verdicts, by subject.

A third of the kinds is held out: no pattern may be made to fit them, so their cases are counted,
and named only with --held-out.
"""

import argparse
import collections
from collections.abc import Iterable
from pathlib import Path

import attrs

from tests.verdicts.corpus import cases
from tests.verdicts.model import Case
from vllmd.engine.causes.base import Diagnosis
from vllmd.engine.offline_diagnosis import diagnose_output

WALLS = {"configuration", "hardware", "driver"}
"""The kinds after which an engine is held, and not started again."""


@attrs.frozen
class Verdict:
    """What was said of a case, and whether it is right."""

    case: Case
    found: Diagnosis

    @property
    def right(self) -> bool:
        """Return whether the cause is one of the case's."""
        return self.found.cause in self.case.failure.causes

    @property
    def wrong(self) -> bool:
        """Return whether another cause was named: worse than none."""
        return not self.right and self.found.cause != "unknown"

    @property
    def held(self) -> bool:
        """Return whether an engine would be held that another start mends."""
        return self.case.failure.hold is False and self.found.kind in WALLS

    @property
    def retried(self) -> bool:
        """Return whether an engine would be started again into a wall."""
        return self.case.failure.hold is True and self.found.kind not in WALLS

    @property
    def quoted(self) -> bool:
        """Return whether the line that shows it is among the evidence."""
        words = self.case.failure.words
        return not words or any(words in line for line in self.found.evidence)


def judge(case: Case) -> Verdict:
    """Return what is said of a case."""
    return Verdict(case, diagnose_output(list(case.lines), case.failure.exit_code))


def table(verdicts: Iterable[Verdict]) -> list[str]:
    """Return the figures by subject, and of all."""
    groups: dict[str, list[Verdict]] = collections.defaultdict(list)
    for verdict in verdicts:
        groups[verdict.case.subject].append(verdict)
    whole = [verdict for group in groups.values() for verdict in group]
    rows = [
        f"{'':12}{'cases':>6}{'right':>12}{'unknown':>9}{'wrong':>7}{'held':>6}{'retried':>12}{'quoted':>8}"
    ]
    for name, group in [*groups.items(), ("all", whole)]:
        size, right = len(group), sum(v.right for v in group)
        wrong, walls = sum(v.wrong for v in group), sum(v.case.failure.hold is True for v in group)
        share = f"{right / size:.0%}" if size else ""
        retried = f"{sum(v.retried for v in group)} of {walls}"
        rows.append(
            f"{name:12}{size:6}{right:7} {share:>4}{size - right - wrong:9}{wrong:7}"
            f"{sum(v.held for v in group):6}{retried:>12}{sum(v.quoted for v in group):8}"
        )
    return rows


def missed(verdict: Verdict) -> str:
    """Return one line about a case that is not right, or a line that was not quoted."""
    mark = "right" if verdict.right else "WRONG" if verdict.wrong else "unknown"
    flags = " ".join(
        word
        for word, on in (
            ("HELD", verdict.held),
            ("RETRIED", verdict.retried),
            ("other line", not verdict.quoted),
        )
        if on
    )
    want = "|".join(verdict.case.failure.causes)
    return f"{verdict.case.name:60} {mark:8}{flags:20} said {verdict.found.cause}, is {want}"


def main() -> None:
    """Print the figures, and what is not right."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--held-out", action="store_true", help="name the held-out cases too")
    options.add_argument("--write", type=Path, metavar="FOLDER", help="write each case as a file")
    asked = options.parse_args()
    verdicts = [judge(case) for case in cases()]
    for verdict in verdicts:
        fine = verdict.right and verdict.quoted and not verdict.held and not verdict.retried
        if not fine and (asked.held_out or not verdict.case.failure.held_out):
            print(missed(verdict))
        if asked.write:
            asked.write.mkdir(parents=True, exist_ok=True)
            text = "\n".join(verdict.case.lines) + "\n"
            (asked.write / f"{verdict.case.name}.log").write_text(text, newline="")
    print("\nall kinds")
    print("\n".join(table(verdicts)))
    print("\nthe third that is held out")
    print("\n".join(table(v for v in verdicts if v.case.failure.held_out)))


if __name__ == "__main__":
    main()
