"""Is `vllmd why` right, of a file and of a run that it follows? Over the corpus, by subject.

`right` to `quoted` are of the file (`why --log`); `live` counts what is right of the same output as
it grows in an engine's log, is cut, and survives a restart of the daemon; `early` what is right
while a start still goes on.
A third of the kinds is held out: no pattern may be made to fit them, so their cases are counted,
and named only with --held-out.
"""

import argparse
import collections
import tempfile
from collections.abc import Iterable
from pathlib import Path

import attrs
import structlog

from tests.verdicts.corpus import cases
from tests.verdicts.live import Seen, seen_live
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
    live: Seen | None = None

    @property
    def right_live(self) -> bool:
        """Return whether the daemon's cause is one of the case's."""
        return self.live is not None and self.live.end.cause in self.case.failure.causes

    @property
    def right_early(self) -> bool:
        """Return whether the cause was told before the end."""
        return self.live is not None and self.live.early in self.case.failure.causes

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


def judge(case: Case, folder: Path | None = None) -> Verdict:
    """Return what is said of a case; live too, if there is an empty folder for its log.

    What somebody shows of a log is of no engine that runs: it is judged as a file only.
    """
    found = diagnose_output(list(case.lines), case.failure.exit_code)
    if folder is None or case.failure.seen:
        return Verdict(case, found)
    return Verdict(case, found, seen_live(case, folder))


def table(verdicts: Iterable[Verdict]) -> list[str]:
    """Return the figures by subject, and of all."""
    groups: dict[str, list[Verdict]] = collections.defaultdict(list)
    for verdict in verdicts:
        groups[verdict.case.subject].append(verdict)
    whole = [verdict for group in groups.values() for verdict in group]
    rows = [
        f"{'':12}{'cases':>6}{'right':>12}{'unknown':>9}{'wrong':>7}{'held':>6}{'retried':>12}{'quoted':>8}{'live':>6}{'early':>7}"
    ]
    for name, group in [*groups.items(), ("all", whole)]:
        size, right = len(group), sum(v.right for v in group)
        wrong, walls = sum(v.wrong for v in group), sum(v.case.failure.hold is True for v in group)
        share = f"{right / size:.0%}" if size else ""
        retried = f"{sum(v.retried for v in group)} of {walls}"
        rows.append(
            f"{name:12}{size:6}{right:7} {share:>4}{size - right - wrong:9}{wrong:7}"
            f"{sum(v.held for v in group):6}{retried:>12}{sum(v.quoted for v in group):8}"
            f"{sum(v.right_live for v in group):6}{sum(v.right_early for v in group):7}"
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
            ("NOT LIVE", verdict.live and verdict.right and not verdict.right_live),
        )
        if on
    )
    want = "|".join(verdict.case.failure.causes)
    return f"{verdict.case.name:60} {mark:8}{flags:20} said {verdict.found.cause}, is {want}"


def _drop(*_: object) -> dict[str, object]:
    raise structlog.DropEvent


def main() -> None:
    """Print the figures, and what is not right."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--held-out", action="store_true", help="name the held-out cases too")
    options.add_argument("--write", type=Path, metavar="FOLDER", help="write each case as a file")
    asked = options.parse_args()
    structlog.configure(processors=[_drop])
    with tempfile.TemporaryDirectory() as folder:
        verdicts = [judge(case, Path(folder)) for case in cases()]
    for verdict in verdicts:
        fine = verdict.right and verdict.quoted
        fine = fine and (verdict.live is None or verdict.right_live)
        fine = fine and not verdict.held and not verdict.retried
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
