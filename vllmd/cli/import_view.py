"""How `vllmd import` shows what it made."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import attrs

from vllmd.cli import terminal
from vllmd.config import credentials

if TYPE_CHECKING:
    from vllmd.cli.import_check import RunningComparison
    from vllmd.importing.comparison import Comparison, Difference
    from vllmd.importing.result import Secret


@attrs.frozen
class Imported:
    """What came of the sources."""

    text: str
    remarks: list[str]
    comparisons: list[Comparison]
    secrets: list[Secret]
    next: list[str]


def show(
    imported: Imported,
    written: list[str],
    running: RunningComparison | None,
    output: Path | None,
    *,
    as_json: bool,
) -> None:
    """Print the configuration on standard output, unless it was written, and the rest beside it."""
    if as_json:
        terminal.echo_json(_as_json(imported, written, running), indent=2)
        return
    if output is None:
        terminal.echo_text(imported.text, nl=False)
    differences = [each for shown in imported.comparisons for each in shown.differences]
    reasons = {each.reason for each in differences if each.reason}
    for remark in imported.remarks:
        if remark.endswith(tuple(reasons)):
            continue  # it stands beside the difference
        for line in terminal.wrap(remark, rest="  "):
            terminal.echo(terminal.style(line, fg="yellow"), err=True)
    for each in imported.comparisons:
        _show_comparison(each)
    _show_common(imported.comparisons)
    for line in _about_secrets(imported.secrets, written, with_output=output is not None):
        _line(line)
    if running is not None:
        for line in running.lines():
            _line(line)
    for path in written:
        terminal.echo(f"wrote {path}", err=True)
    _line(f"next: {' · '.join(imported.next)}")


def _show_comparison(comparison: Comparison) -> None:
    terminal.echo(err=True)
    terminal.echo(terminal.style(f"{comparison.engine}, then and now", bold=True), err=True)
    _line(f"then  {comparison.then}    ({comparison.source})", rest="      ")
    _line(f"now   {comparison.now}", rest="      ")
    for each in comparison.differences:
        if not each.common:
            _show_difference(each)
    unexplained = len(comparison.unexplained)
    if unexplained:
        _line(
            f"{unexplained} differences have no reason: this is a mistake of vllmd: do not use the "
            "file as it is, and report it with the source"
        )


def _show_difference(difference: Difference) -> None:
    if difference.then == difference.now:
        _line(f"  = {difference.now}", rest="      ")
        _line(difference.reason or "", first="      ", rest="      ")
        return
    for sign, text, colour in (("-", difference.then, "red"), ("+", difference.now, "green")):
        if text is not None:
            for line in terminal.wrap(text, first=f"  {sign} ", rest="      "):
                terminal.echo(terminal.style(line, fg=colour), err=True)
    _line(difference.reason or "no reason is known", first="      ", rest="      ")


def _show_common(comparisons: list[Comparison]) -> None:
    """Show once what vllmd gives every engine."""
    common = {each.name: each for shown in comparisons for each in shown.differences if each.common}
    grouped: dict[str, list[str]] = {}
    for each in common.values():
        spans = each.name.startswith(("OTEL_", "--otlp"))
        grouped.setdefault("spans go to vllmd" if spans else each.reason or "", []).append(
            each.name
        )
    terminal.echo(err=True)
    terminal.echo(terminal.style("every engine of vllmd has too", bold=True), err=True)
    for reason, names in grouped.items():
        _line(f"{', '.join(names)}: {reason}", first="  ", rest="      ")


def _line(text: str, *, first: str = "", rest: str = "  ") -> None:
    for line in terminal.wrap(text, first=first, rest=rest):
        terminal.echo(line, err=True)


def _about_secrets(
    secrets: list[Secret], written: list[str], *, with_output: bool
) -> Iterator[str]:
    """Yield where secrets are, and which of them somebody has to write."""
    known = [each.file for each in secrets if each.value is not None]
    names = ", ".join(known)
    if known and with_output:
        yield f"secrets, each in a file of its own and not in the configuration: {names}"
        folders = {Path(each).parent for each in written if Path(each).name in known}
        if folders - {credentials.FOLDER}:
            yield f"to do: put these files into {credentials.FOLDER}, where vllmd reads them"
    elif known:
        yield f"to do: write the secrets into {credentials.FOLDER}; --output does that: {names}"
    for each in secrets:
        if each.value is None:
            path = credentials.FOLDER / each.file
            yield f"to do: write the secret into {path}: {each.source}"


def _as_json(
    imported: Imported, written: list[str], running: RunningComparison | None
) -> dict[str, Any]:
    found: dict[str, Any] = {
        "toml": imported.text,
        "remarks": imported.remarks,
        "engines": [
            {
                "name": each.engine,
                "source": each.source,
                "then": each.then,
                "now": each.now,
                "differences": [attrs.asdict(difference) for difference in each.differences],
            }
            for each in imported.comparisons
        ],
        "secrets": [
            {"file": each.file, "known": each.value is not None} for each in imported.secrets
        ],
        "written": written,
        "next": imported.next,
    }
    if running is not None:
        found["running"] = running.as_json()
    return found
