"""What one run of an engine printed, found in its log."""

from vllmd.logs.reader import LogReader, Position, read_last
from vllmd.shim import logfiles
from vllmd.shim.protocol import RunRecord
from vllmd.util.units import KIB
from vllmd.util.within import run_within

LAST_BYTES = 256 * KIB


def begin_of(run: RunRecord) -> Position:
    """Return where its output begins; a shim of an older package did not rotate."""
    number = run.get("log_number") or logfiles.current_number(run["log"])
    return Position(number, run["log_offset"])


def output_of(run: RunRecord) -> LogReader:
    """Read its output from the first line on."""
    return LogReader(run["log"], begin_of(run))


def read_last_lines(run: RunRecord) -> tuple[list[str], Position]:
    """Return the last lines that it printed, over rotations, and where they begin.

    Returns: at most `LAST_BYTES` of them; none if they cannot be read.
    """
    return read_last(run["log"], begin_of(run), LAST_BYTES)


def new_lines(log: LogReader) -> list[str]:
    """Return the complete lines that are new; none if they cannot be read now."""
    try:
        return log.read().decode(errors="replace").splitlines()
    except PermissionError:
        return []


async def read_new_lines(log: LogReader) -> list[str]:
    """Return them without holding up the event loop; none while the disk cannot be asked."""
    try:
        return await run_within(log.path, lambda: new_lines(log))
    except OSError:
        return []
