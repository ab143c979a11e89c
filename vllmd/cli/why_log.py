"""`vllmd why --log`: the cause of a run that vllmd never saw."""

import contextlib
from pathlib import Path
from typing import Any

import attrs

from vllmd.config import load
from vllmd.config.secret_values import secrets_of
from vllmd.engine.causes.base import Diagnosis
from vllmd.engine.offline_diagnosis import diagnose_output
from vllmd.errors import VllmdError
from vllmd.logs.input_files import STDIN, read_given
from vllmd.util.failure_report import FailureReport
from vllmd.util.redact import Redactor


def explain(
    logs: tuple[Path, ...], since: float | None, exit_code: int | None, config_path: Path
) -> dict[str, Any]:
    """Return the diagnosis of an output, and the parts of its report, as JSON has them.

    Raises: VllmdError: a file cannot be read.
    """
    said = diagnose_output(_read(logs, since), exit_code)
    found = _masked(said, _redactor(config_path))
    return {**attrs.asdict(found), **_report(found, logs, exit_code).to_json()}


def _read(logs: tuple[Path, ...], since: float | None) -> list[str]:
    """Return the lines of an output that say how its last run ended."""
    try:
        return read_given(logs, since)
    except OSError as error:
        path = error.filename or logs[0]
        raise VllmdError(f"{path} cannot be read: {error.strerror or error}") from None


def _redactor(config_path: Path) -> Redactor:
    """Return what takes secrets out: those of any kind, and those of the configuration here."""
    redactor = Redactor()
    with contextlib.suppress(VllmdError, OSError):
        redactor.learn(secrets_of(load.load(config_path)[0]))
    return redactor


def _masked(found: Diagnosis, redactor: Redactor) -> Diagnosis:
    """Return what is shown of an output without secrets."""
    mask = redactor.text
    return attrs.evolve(
        found,
        explanation=mask(found.explanation),
        advice=mask(found.advice),
        evidence=tuple(map(mask, found.evidence)),
    )


def _report(found: Diagnosis, logs: tuple[Path, ...], exit_code: int | None) -> FailureReport:
    """Return what is known of a run that vllmd never saw."""
    where = ", ".join("standard input" if str(log) == STDIN else str(log) for log in logs)
    ended = f" ended with exit code {exit_code}" if exit_code is not None else " failed"
    return found.report(f"The last run in {where}{ended}.")
