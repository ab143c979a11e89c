"""Dashboards against Grafana's own types: TypeScript is asked whether the JSON is one of them."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

from tests.helpers.npm import installed, with_our_node
from tests.helpers.panels import every_panel

SOURCE = Path(__file__).parents[1] / "grafana_schema"
RELEASES = ("grafana-10", "grafana-11", "grafana-12", "grafana-13")
PANELS = {
    "timeseries": "timeseries",
    "stat": "stat",
    "state-timeline": "statetimeline",
    "heatmap": "heatmap",
    "table": "table",
}
"""Our kinds of panels, and the folder of the types of their options."""

HEAD = """
// an enumeration's values, as JSON has them
type Plain<T> = T extends string ? `${T}` : T extends number ? number : T extends boolean ? T
  : T extends (infer U)[] ? Plain<U>[] : unknown extends T ? T
  : T extends object ? { [K in keyof T]: Plain<T[K]> } : T;
type Few<T> = { [K in keyof T]?: T[K] extends object | undefined ? Few<T[K]> : T[K] };
"""


def complaints(dashboards: dict[str, Any], release: str, work: Path) -> str:
    """Return what TypeScript says of them; nothing if all is as that release has it."""
    folder = installed(SOURCE)
    modules = folder / "node_modules"
    file = work / f"{release}.ts"
    file.write_text("\n".join(_program(dashboards, modules / release)))
    node = Path(sys.executable).with_name("node")
    compiler = modules / "typescript" / "bin" / "tsc"
    config = {
        "compilerOptions": {
            "noEmit": True,
            "strict": True,
            "skipLibCheck": True,
            "target": "es2022",
            "module": "esnext",
            "moduleResolution": "bundler",
            "types": [],
            # its parts import the whole by this name
            "paths": {"@grafana/schema": [_index(modules / release)]},
        },
        "files": [file.name],
    }
    project = work / f"{release}.json"
    project.write_text(json.dumps(config))
    done = subprocess.run(
        [str(node), str(compiler), "--project", str(project)],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
        env=with_our_node(),
    )
    return done.stdout + done.stderr


def _index(package: Path) -> str:
    """Return the types of a whole release, wherever it keeps them."""
    places = ("dist/types/index.d.ts", "dist/index.d.ts", "dist/esm/index.d.ts")
    return next(str(package / place) for place in places if (package / place).exists())


def _types(package: Path, part: str) -> str:
    """Return the module with the types of a part, wherever that release keeps it."""
    found = sorted(package.glob(f"dist/**/raw/{part}/x/*types.gen.d.ts"))
    assert found, f"{package.name} has no {part}"
    return str(found[0]).removesuffix(".d.ts")


def _program(dashboards: dict[str, Any], package: Path) -> list[str]:
    lines = [f"import type * as dashboard from {json.dumps(_types(package, 'dashboard'))};"]
    # only 10.4 has the type of Prometheus' queries; it has not changed in what is used here
    query = _types(package.with_name(RELEASES[0]), "composable/prometheus/dataquery")
    lines.append(f"import type * as prometheus from {json.dumps(query)};")
    for kind, folder in PANELS.items():
        path = _types(package, f"composable/{folder}/panelcfg")
        lines.append(f"import type * as {_name(kind)} from {json.dumps(path)};")
    # `interval` is in PromQuery alone, which is not published (grafana-prometheus, src/types.ts)
    query = "Plain<Few<prometheus.PrometheusDataQuery>> & { interval?: string }"
    lines += [HEAD, f"type Query = {query};"]
    for name, made in dashboards.items():
        value = json.dumps(_typed(made), indent=1)
        lines.append(f"const {_name(name)}: Plain<Few<dashboard.Dashboard>> = {value};")
        for panel in every_panel(made):
            kind = _name(panel["type"])
            about = f"{_name(name)}_{panel['id']}"
            options = json.dumps(panel["options"])
            lines.append(f"const {about}_o: Plain<Few<{kind}.Options>> = {options};")
            custom = panel["fieldConfig"]["defaults"].get("custom")
            if custom:
                lines.append(
                    f"const {about}_c: Plain<Few<{kind}.FieldConfig>> = {json.dumps(custom)};"
                )
            marks = [mark["target"] for mark in made["annotations"]["list"]]
            for i, target in enumerate([*panel["targets"], *marks]):
                text = json.dumps(target)
                lines.append(f"const {about}_t{i}: Query = {text};")
    return lines


def _typed(made: dict[str, Any]) -> dict[str, Any]:
    """Return a dashboard without what a data source adds to an annotation: no type knows that."""
    own = {"target", "titleFormat", "textFormat", "useValueForTime"}
    marks = [
        {key: value for key, value in each.items() if key not in own}
        for each in made["annotations"]["list"]
    ]
    return {**made, "annotations": {"list": marks}}


def _name(text: str) -> str:
    return "_" + text.replace("-", "_")
