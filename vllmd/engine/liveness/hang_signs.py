"""Do the readings of an engine's GPUs and processes show that nothing is computed? Pure.

CUDA and NCCL wait busily, so a hang looks like work by its CPU time and by "100 % busy". Power and
the memory bus tell them apart. Seen on an H200 (700 W, driver 580.159), each at 100 % busy: a
kernel that spins 124 W and bus 0.00, a wait in NCCL 161 W and 0.00 (its peer 129 W at 0 %), a
prefill 691 W and 0.33; an idle GPU with a context 120 W. A kernel that spins keeps no other process
from its turn: an engine beside it on the GPU went on serving.

What cannot be told is no sign: a GPU that gives no power or bus (MIG), one that is throttled and
seems to spin, readings with gaps, a GPU that works, for whomever, a process that computes, reads or
waits for a disk. An engine that shows no sign is judged by its steps and CPU alone.
"""

import enum
import itertools
from collections.abc import Iterable, Mapping

import attrs

from vllmd.engine.liveness.reading import (
    LOADED_BYTES_PER_S,
    GpuSample,
    GpuTrace,
    ProcessActivity,
    ProcessUse,
    did_nothing,
)
from vllmd.engine.liveness.work_baseline import FULL_RATIO, WorkBaseline

MAX_GAP_S = 3.5
"""Samples come every second; between two that are further apart anything may have happened."""
SPIN_BUS = 0.01
"""The most that a GPU's memory bus shows while a kernel spins: 0.00 seen, in steps of 0.01."""
OF_WORKING_BUS, OF_WORKING_WATTS = 0.2, 0.7
"""A spinning GPU shows at most so much of the least that this engine showed when it worked."""
OF_WORKING_WATTS_ALONE = 0.5
"""The same where work keeps the bus as quiet as spinning does: small models."""
OF_IDLE_WATTS = 1.4
"""Where work was not seen yet: a spinning GPU takes little more than an idle one (124 and 161 W of
120 seen)."""


class GpuDoes(enum.StrEnum):
    """What one GPU did for a stretch of time."""

    IDLE = "idle"
    SPINS = "spins"
    WORKS = "works"
    UNKNOWN = "unknown"


@attrs.frozen
class HangSign:
    """Nothing is computed; `words` say what shows it. `sure` if it needs no longer limit."""

    words: str
    sure: bool = True


def what_it_does(trace: GpuTrace, work: WorkBaseline) -> GpuDoes:
    """Say what a GPU did, by all samples of a trace and by what the engine shows when it works."""
    samples = trace.samples
    if not samples or _gap_s(trace) > MAX_GAP_S or any(s.busy is None for s in samples):
        return GpuDoes.UNKNOWN
    if all(sample.busy == 0 for sample in samples):
        return GpuDoes.IDLE
    if any(s.bus is None or s.watts is None for s in samples):
        return GpuDoes.UNKNOWN
    limits = _spin_limits(work)
    if not limits or not all(_spins(s, *limits) for s in samples):
        return GpuDoes.WORKS
    # clocks that are kept down make work look like less, never idling like more
    return GpuDoes.UNKNOWN if any(s.throttled for s in samples) else GpuDoes.SPINS


def find_sign(
    traces: Iterable[GpuTrace],
    before: ProcessActivity | None,
    now: ProcessActivity | None,
    work: WorkBaseline,
) -> HangSign | None:
    """Tell whether an engine that makes no step computes nothing.

    `traces` are of all GPUs that it holds memory of, `before` and `now` what its processes had used
    at the beginning and the end of them. No GPU may work, and no process may do anything but wait:
    one that waits busily for a GPU that spins, and those above such a one, are excepted.

    Returns: what shows it; None if it may be working, or nobody can tell.
    """
    does = {trace: what_it_does(trace, work) for trace in traces}
    kinds = set(does.values())
    if not does or kinds & {GpuDoes.WORKS, GpuDoes.UNKNOWN} or before is None or now is None:
        return None
    spinning = [trace for trace, it in does.items() if it is GpuDoes.SPINS]
    idle = [trace for trace, it in does.items() if it is GpuDoes.IDLE]
    if not idle and all(trace.shared for trace in spinning):
        return None  # another's kernel may spin there, and this engine wait for something else
    excepted = _waiting_busily(spinning, idle, now.processes) if spinning else set()
    beside = _only_beside_others(spinning)
    watched = [each for each in now.processes if each.pid not in excepted or each.pid in beside]
    if not now.processes or not all(
        is_still(each, before, now, cpu=each.pid not in excepted) for each in watched
    ):
        return None
    spins = f"{_names(spinning)} {_show(spinning)}" if spinning else ""
    if not idle:
        # where another computes as well it may be its kernel, and this engine at work on its CPU
        alone = not any(trace.shared for trace in spinning)
        return HangSign(f"{spins}, as a kernel that spins does", sure=work.learned and alone)
    # a wait for a server or for another's lock shows nowhere: only a stopped process is sure
    waiting = {pid for trace in idle for pid in trace.pids}
    stopped = [p for p in now.processes if p.state in "Tt" and (p.pid in waiting or not spinning)]
    sure = any(process.state == "T" for process in stopped)
    if not spinning:
        words = "its GPUs are idle and its processes do nothing"
    else:
        words = f"{spins} while {_names(idle)} is idle and its process does nothing"
    return HangSign(words + _name_stopped(stopped), sure)


def is_untold(traces: Iterable[GpuTrace], work: WorkBaseline) -> bool:
    """Tell whether it is only not known what a GPU did: none of them worked."""
    does = {what_it_does(trace, work) for trace in traces}
    return GpuDoes.UNKNOWN in does and GpuDoes.WORKS not in does


def shows_work(traces: Iterable[GpuTrace], work: WorkBaseline) -> bool:
    """Tell whether one of the GPUs worked."""
    return any(what_it_does(trace, work) is GpuDoes.WORKS for trace in traces)


def proves_work(traces: Iterable[GpuTrace], work: WorkBaseline) -> bool:
    """Tell whether a GPU that the engine has for itself computed: its memory bus shows it.

    Only where the bus of its work was learned and is not as quiet as spinning is. Power alone is no
    proof: a wait in NCCL takes some, too.
    """
    limits = _spin_limits(work)
    if limits is None or not work.learned or limits[0] == 0.0:
        return False
    return any(
        not trace.shared
        and what_it_does(trace, work) is GpuDoes.WORKS
        and 2 * sum((s.bus or 0.0) > limits[0] for s in trace.samples) >= len(trace.samples)
        for trace in traces
    )


def _gap_s(trace: GpuTrace) -> float:
    times = [trace.since, *(sample.at for sample in trace.samples), trace.until]
    return max(later - earlier for earlier, later in itertools.pairwise(times))


def _spin_limits(work: WorkBaseline) -> tuple[float, float] | None:
    """Return the most of the bus and the power that are no work; None if nobody can say."""
    bus, watts = work.least_bus, work.least_watts
    if bus is not None and watts is not None:
        if bus * OF_WORKING_BUS >= SPIN_BUS / 2:
            return min(SPIN_BUS, bus * OF_WORKING_BUS), watts * OF_WORKING_WATTS
        return 0.0, watts * OF_WORKING_WATTS_ALONE
    return (0.0, work.idle_watts * OF_IDLE_WATTS) if work.idle_watts is not None else None


def _spins(sample: GpuSample, most_bus: float, most_watts: float) -> bool:
    busy, bus, watts = sample.busy or 0.0, sample.bus, sample.watts
    return (
        busy >= FULL_RATIO
        and (bus is not None and bus <= most_bus)
        and (watts is not None and watts <= most_watts)
    )


def _waiting_busily(
    spinning: Iterable[GpuTrace], idle: Iterable[GpuTrace], processes: Iterable[ProcessUse]
) -> set[int]:
    """Return who may use CPU although nothing is computed.

    Those that hold memory of a GPU that spins wait for it, and those above all of them wait too.
    """
    parents = {process.pid: process.ppid for process in processes}
    excepted = {pid for trace in spinning for pid in trace.pids}
    stands = {pid for trace in idle for pid in trace.pids}
    for pid in excepted | stands:
        above = parents.get(pid)
        while above is not None and above not in excepted:
            excepted.add(above)
            above = parents.get(above)
    return excepted - stands


def _only_beside_others(spinning: Iterable[GpuTrace]) -> set[int]:
    """Return who holds memory of GPUs that spin, each of which others use as well."""
    own = {pid for trace in spinning if not trace.shared for pid in trace.pids}
    return {pid for trace in spinning if trace.shared for pid in trace.pids} - own


def is_still(
    process: ProcessUse, before: ProcessActivity, now: ProcessActivity, *, cpu: bool = True
) -> bool:
    """Tell whether a process did nothing between two looks; one that is new did something.

    Without `cpu` it may have used that, and moved no bytes.
    """
    known = next((each for each in before.processes if each.pid == process.pid), None)
    if known is None or before.at is None or now.at is None:
        return False
    if process.state in ("RD" if cpu else "D"):
        return False
    cpu_s, moved = process.cpu_s - known.cpu_s if cpu else 0.0, process.io_bytes - known.io_bytes
    return did_nothing(cpu_s, moved, now.at - before.at, LOADED_BYTES_PER_S)


def _name_stopped(stopped: Iterable[ProcessUse]) -> str:
    pids = ", ".join(str(pid) for pid in sorted(process.pid for process in stopped))
    return f" (stopped by a signal: {pids})" if pids else ""


def _names(traces: Iterable[GpuTrace]) -> str:
    return "GPU " + ", ".join(trace.gpu for trace in traces)


def _show(traces: Iterable[GpuTrace]) -> str:
    samples: Mapping[float, GpuSample] = {s.watts or 0.0: s for t in traces for s in t.samples}
    highest = samples[max(samples)]
    return (
        f"is busy at {highest.watts:.0f} W and {(highest.bus or 0) * 100:.0f} % of its memory bus"
    )
