"""The rules of docs/architecture.md that a machine can hold: rooms, and who imports whom."""

import re
import sys
from collections.abc import Iterator
from graphlib import TopologicalSorter
from pathlib import Path

from tests.helpers.sources import (
    MODULES,
    PACKAGE,
    ROOT,
    SOURCES,
    imports,
    name_of,
    of_each,
    room_of,
)
from vllmd.doctor.checks import CHECKS
from vllmd.engine import causes
from vllmd.monitoring.alerts import ALERTS
from vllmd.monitoring.dashboards import DASHBOARDS
from vllmd.monitoring.records import RECORDS

ROOT_MODULES = {"__init__", "__main__", "errors", "xids"}
MAY_IMPORT = {
    "root": "",
    "shim": "",
    "events": "",
    "util": "root events shim",
    "container": "shim",
    "bundle": "root util shim",
    "collectors": "events util",
    "config": "root util shim",
    "eventlog": "events util",
    "monitoring": "root util",
    "pulling": "root util",
    "comparing": "root shim",
    "history": "root events util shim eventlog",
    "installing": "root util shim config",
    "fleet": "root util shim config",
    "importing": "root util config installing",
    "logs": "util shim eventlog",
    "engine": "root events util shim config logs",
    "gpu": "root events util shim config engine",
    "groups": "root events util shim config fleet engine",
    "lora": "root events util shim config engine",
    "notify": "root events util config eventlog engine",
    "probe": "root events util config engine",
    "scrape": "root util engine",
    "status": "util monitoring pulling engine gpu scrape",
    "cost": "root events util config engine gpu scrape",
    "advise": "root util config engine gpu scrape",
    "doctor": "root events util shim config eventlog installing fleet engine gpu lora groups",
    "http": "root events util shim config engine scrape",
    "client": "config cost",
    "control": "root events util eventlog history engine http",
    "demo": "root util installing http",
    "traces": "root events util shim config eventlog engine scrape http",
    "daemon": "root events util shim collectors config eventlog pulling history logs engine gpu "
    "groups lora notify probe scrape status cost advise doctor http control traces",
    "cli": "root events util shim container bundle config eventlog monitoring pulling comparing "
    "history fleet importing installing logs engine gpu notify cost advise doctor http control "
    "demo daemon",
    "__main__": "cli",
}
"""From the ground up: who may import whom; docs/architecture.md has the same table.

`root` is what everybody speaks of: errors, Xids. Whoever imports upwards makes a circle.
"""
SHIM_MODULES_FOR_OTHERS = {
    "protocol",
    "proc",
    "record",
    "files",
    "logfile",
    "logfiles",
    "counted",
    "__main__",
}


MADE_OF_DATA = {
    "causes": set(causes.SUBJECTS),
    "checks": {check.__module__.rsplit(".", 1)[-1] for check in CHECKS.values()},
    "alerts": set(ALERTS),
    "records": set(RECORDS),
    "dashboards": {
        *(name.replace("-", "_") for name in DASHBOARDS),
        *("numbers", "engines_table", "engine_use", "gpu_health", "options"),
    },
    "events": {
        "daemon",
        "engine",
        "gpu",
        "groups",
        "history",
        "lora",
        "probe",
        "requests",
        "traces",
        "weights",
    },
}

PURE = {
    "client/costs.py",
    "client/interface.py",
    "cost/api_prices.py",
    "cost/gpu_shares.py",
    "cost/meter.py",
    "cost/prices.py",
    "cost/report.py",
    "cost/usage.py",
    "doctor/architecture.py",
    "doctor/capacity.py",
    "doctor/compute.py",
    "doctor/config_weights.py",
    "doctor/finding.py",
    "doctor/layers.py",
    "doctor/quantization.py",
    "doctor/proposal.py",
    "doctor/weights.py",
    "engine/doubts.py",
    "engine/liveness/hang_signs.py",
    "engine/liveness/hang_watch.py",
    "engine/liveness/reading.py",
    "engine/liveness/stall_detector.py",
    "engine/liveness/work_baseline.py",
    "engine/loading/durations.py",
    "engine/loading/memory_sizes.py",
    "engine/loading/phases.py",
    "engine/offline_diagnosis.py",
    "engine/restart/policy.py",
    "engine/state_machine.py",
    "eventlog/group_story.py",
    "eventlog/narrative.py",
    "gpu/growth.py",
    "fleet/page_kinds.py",
    "groups/page.py",
    "groups/rules.py",
    "gpu/host_memory_policy.py",
    "gpu/memory_shares.py",
    "gpu/fit.py",
    "gpu/peaks.py",
    "gpu/recent_samples.py",
    "gpu/row_guard.py",
    "gpu/rows.py",
    "gpu/wire.py",
    "history/age.py",
    "http/web_config.py",
    "http/yaml_tree.py",
    "installing/flags.py",
    "installing/plan.py",
    "installing/removed_flags.py",
    "logs/level_counts.py",
    "shim/counted.py",
    "shim/line_shapes.py",
    "logs/excerpt.py",
    "logs/lines.py",
    "logs/milestones.py",
    "lora/adapter_status.py",
    "lora/plan.py",
    "lora/validation.py",
    "notify/bodies.py",
    "probe/answer.py",
    "probe/comparison.py",
    "probe/identity.py",
    "probe/judge.py",
    "probe/prompts.py",
    "probe/reference.py",
    "probe/status.py",
    "notify/notices.py",
    "scrape/caching.py",
    "scrape/derived.py",
    "scrape/families.py",
    "scrape/peak.py",
    "status/conditions.py",
    "status/document.py",
    "status/load.py",
    "status/network.py",
    "status/reasons.py",
    "status/ring.py",
    "status/window.py",
    "traces/aggregate.py",
    "traces/coverage.py",
    "traces/decode.py",
    "traces/duplicates.py",
    "traces/event_spans.py",
    "traces/forward/answer.py",
    "traces/frames.py",
    "traces/refusal.py",
    "traces/slowest.py",
    "traces/spans.py",
    "traces/unpack.py",
    "traces/wire.py",
    "util/failure_report.py",
    "util/redact.py",
    "util/terminal_text.py",
    "xids.py",
}
PURE |= {
    name_of(path)
    for folder in ("engine/causes", "engine/log_reading", "events", "importing", "monitoring")
    for path in (PACKAGE / folder).rglob("*.py")
}
PURE |= {name_of(path) for path in PACKAGE.glob("**/metrics.py") if path.parent.name != "demo"}
IO_MODULES = {"os", "io", "socket", "subprocess", "asyncio", "pathlib", "httpx", "psutil", "time"}


def rooms_imported(path: Path) -> Iterator[tuple[str, str]]:
    """Yield every room that a file imports from, with the module."""
    for module in imports(path):
        parts = module.split(".")
        if parts[0] != "vllmd":
            continue
        folder = len(parts) > 1 and (PACKAGE / parts[1]).is_dir()
        if (room := parts[1] if folder else "root") != room_of(path):
            yield room, module


@of_each(SOURCES)
def test_imports_follow_the_table(path: Path) -> None:
    room = room_of(path)
    for imported, module in rooms_imported(path):
        assert imported in MAY_IMPORT[room].split(), f"{room} may not import {module}"


def test_table_is_of_all_rooms_without_a_circle_and_allows_nothing_that_nobody_does() -> None:
    rooms = {room_of(path) for path in SOURCES}
    assert set(MAY_IMPORT) == rooms
    assert {path.stem for path in PACKAGE.glob("*.py")} == ROOT_MODULES
    below: set[str] = set()
    for room, allowed in MAY_IMPORT.items():
        assert set(allowed.split()) <= below, f"{room} imports upwards"
        below.add(room)
    done: dict[str, set[str]] = {room: set() for room in MAY_IMPORT}
    for path in SOURCES:
        done[room_of(path)] |= {room for room, _ in rooms_imported(path)}
    assert {room: set(allowed.split()) for room, allowed in MAY_IMPORT.items()} == done


def test_architecture_has_the_same_table_and_every_folder() -> None:
    page = (ROOT / "docs" / "architecture.md").read_text()
    _, layout = page.split("## Layout")
    _, table = layout.split("| room | may import from | libraries |\n| --- | --- | --- |\n")
    rows = [row.split(" | ", 2) for row in table.split("\n\n")[0].splitlines()]
    wanted = [(f"| {r}", ", ".join(may.split()) or "nothing") for r, may in MAY_IMPORT.items()]
    assert [(room, may) for room, may, _ in rows] == wanted
    assert all(libraries.removesuffix(" |").strip() for _, _, libraries in rows)
    tree = layout.split("```")[1].split("\ndashboards/")[0]
    folders = {path.parent for path in PACKAGE.rglob("*.py")} - {PACKAGE}
    missing = [f.name for f in sorted(folders) if not re.search(rf"\b{f.name}/", tree)]
    assert not missing, "a folder without a line"


def test_folders_beside_each_other_in_a_room_make_no_circle() -> None:
    beside: dict[str, set[str]] = {}
    for path in SOURCES:
        parts = path.relative_to(PACKAGE).parts
        folder = "/".join(parts[:2])
        for module in imports(path):
            other = "/".join(module.split(".")[1:3])
            inner = other.startswith(f"{parts[0]}/") and (PACKAGE / other).is_dir()
            if len(parts) > 2 and inner and other != folder:
                beside.setdefault(folder, set()).add(other)
    assert beside
    TopologicalSorter(beside).prepare()


@of_each(p for p in SOURCES if room_of(p) != "shim")
def test_others_import_only_the_open_part_of_the_shim(path: Path) -> None:
    for module in imports(path):
        parts = module.split(".")
        if parts[:2] == ["vllmd", "shim"] and len(parts) > 2:
            assert parts[2] in SHIM_MODULES_FOR_OTHERS, module


@of_each(sorted((PACKAGE / "shim").glob("*.py")))
def test_shim_imports_the_standard_library_only(path: Path) -> None:
    for module in imports(path):
        top = module.split(".")[0]
        assert top in sys.stdlib_module_names or module.startswith("vllmd")


READER = ["calls.py", "devices.py", "host_memory.py", "reader.py", "rows.py", "wire.py"]


@of_each(PACKAGE / "gpu" / name for name in READER)
def test_reader_of_gpus_imports_the_standard_library_and_nvml_only(path: Path) -> None:
    for module in imports(path):
        top = module.split(".")[0]
        ours = module == "vllmd.gpu" or f"{'.'.join(module.split('.')[2:3])}.py" in READER
        assert top in sys.stdlib_module_names or top == "pynvml" or (top == "vllmd" and ours)


@of_each(SOURCES)
def test_nvml_is_loaded_by_the_reader_only(path: Path) -> None:
    if path.parent != PACKAGE / "gpu" or path.name not in READER:
        assert "pynvml" not in {m.split(".")[0] for m in imports(path)}


@of_each(MODULES)
def test_every_module_has_its_mirrored_test(path: Path) -> None:
    relative = path.relative_to(PACKAGE)
    if relative.parent.name in MADE_OF_DATA and path.stem in MADE_OF_DATA[relative.parent.name]:
        return  # rules by promtool (dashboards/tests); causes, checks and panels by tests of all
    test = ROOT / "tests" / "unit" / relative.parent / f"test_{relative.name}"
    assert test.exists(), f"write {test.relative_to(ROOT)}"
    tests = re.search(r"^ *(async )?def test_", test.read_text(), re.MULTILINE)
    assert tests, f"{test.relative_to(ROOT)} tests nothing"


@of_each(PACKAGE / p for p in sorted(PURE))
def test_pure_modules_do_no_io(path: Path) -> None:
    assert path.exists()
    assert not {m.split(".")[0] for m in imports(path)} & IO_MODULES
