"""The corpus: every failure in two of its versions, over all wrappers. The same cases each time."""

from collections.abc import Iterator, Mapping

from tests.verdicts import formats, shown
from tests.verdicts.failures import (
    arguments,
    cuda_errors,
    cut_logs,
    cut_starts,
    downloads,
    driver,
    echoes,
    files,
    gpu,
    host,
    hub,
    installs,
    issue_lines,
    issue_rows,
    issue_rows_later,
    issue_rows_third,
    kept_logs,
    late_reports,
    memory,
    model_parts,
    models,
    native_ends,
    network,
    other_makers,
    parallel,
    processes,
    public_later,
    public_lines,
    public_starts,
    public_work,
    remote_stores,
    reported_gpus,
    reported_networks,
    reported_starts,
    support,
    surroundings,
    traps,
    unseen_kinds,
    various,
    weights,
)
from tests.verdicts.model import OLD, Case, Failure
from tests.verdicts.rendering import run_of
from tests.verdicts.wrappers import WRAPPERS, wrapped

SUBJECTS: Mapping[str, tuple[Failure, ...]] = {
    "memory": memory.FAILURES,
    "gpu": gpu.FAILURES,
    "driver": driver.FAILURES,
    "models": models.FAILURES,
    "weights": weights.FAILURES,
    "hub": hub.FAILURES,
    "network": network.FAILURES,
    "files": files.FAILURES,
    "installs": installs.FAILURES,
    "parallel": parallel.FAILURES,
    "arguments": arguments.FAILURES,
    "host": host.FAILURES,
    "support": support.FAILURES,
    "processes": processes.FAILURES,
    "echoes": echoes.FAILURES,
    "various": various.FAILURES,
    "downloads": downloads.FAILURES,
    "surroundings": surroundings.FAILURES,
    "reported": (
        *reported_starts.FAILURES,
        *reported_networks.FAILURES,
        *reported_gpus.FAILURES,
    ),
    "cuda": cuda_errors.FAILURES,
    "stores": remote_stores.FAILURES,
    "model-parts": model_parts.FAILURES,
    "late": late_reports.FAILURES,
    "kept": kept_logs.FAILURES,
    "public": (*public_starts.FAILURES, *public_work.FAILURES, *public_lines.FAILURES),
    "public-later": public_later.FAILURES,
    "issues": (*issue_rows.FAILURES, *issue_lines.FAILURES),
    "issues-later": (*issue_rows_later.FAILURES, *issue_rows_third.FAILURES),
    "native": native_ends.FAILURES,
    "makers": other_makers.FAILURES,
    "cut": (*cut_logs.FAILURES, *cut_starts.FAILURES),
    "seen": unseen_kinds.FAILURES,
    "shown": shown.FAILURES,
    "traps": traps.FAILURES,
}
BY_NAME = {failure.name: failure for table in SUBJECTS.values() for failure in table}
CASES_EACH = 2
ROUND = ("plain", *WRAPPERS)
"""In turn: every failure once as it was printed or nearly so, once as something kept it."""


def cases() -> Iterator[Case]:
    """Yield every case; which wrapper one gets depends on its place only."""
    count = 0
    for subject, table in SUBJECTS.items():
        if table is shown.FAILURES:
            yield from shown.cases()
            continue
        for failure in table:
            for nth in range(min(CASES_EACH, len(failure.versions))):
                step = len(failure.versions) // CASES_EACH if len(failure.versions) > 2 else 1
                version = failure.versions[(nth * step) % len(failure.versions)]
                yield case_of(subject, failure, version, ROUND[count % len(ROUND)])
                count += 1


def case_of(subject: str, failure: Failure, version: str, wrapper: str) -> Case:
    """Return a failure as a version prints it and a keeper of logs shows it."""
    write = formats.written_as_json if wrapper == "json-logging" else formats.written
    lines = write(version, run_of(failure, version))
    if failure.name in traps.EARLIER:
        earlier = "out-of-memory-loading-old" if version in OLD else "out-of-memory-loading"
        lines = write(version, run_of(BY_NAME[earlier], version)) + lines
    name = f"{failure.name}-{version}-{wrapper}"
    return Case(name, subject, failure, version, wrapper, wrapped(wrapper, lines))
