"""Every query of every panel, against a real Prometheus that scrapes a whole vllmd."""

from collections.abc import Iterator
from pathlib import Path

from tests.helpers.panels import every_panel
from tests.helpers.prometheus import prometheus
from tests.helpers.site import needs, wait_for
from tests.helpers.tracing import trace_headers
from tests.integration.conftest import COST, receiving
from vllmd.monitoring.dashboards import DASHBOARDS

RULES = Path(__file__).parents[2] / "dashboards"
LIST = Path(__file__).parents[2] / "build" / "queries.txt"
RATE_S = 10
FLEET = '[fleet]\nname = "prod"\nhosts = ["127.0.0.1"]\n'
SELDOM = (
    *("awaited_memory", "orphan", "< 0", "xid_", "label_replace(max by (gpu)"),  # of GPUs
    "and on () (sum(rate(vllmd_tokens_total",
    *("unless vllmd_engine_up", "failure_info", "failures_total", "lost_total"),  # of engines
    *(
        "and on () ((sum(vllmd_engine_up",
        "== 1 and on (instance, vllmd_engine) (vllmd_engine_state",
        "engine_weights_state",
        'count((vllmd_engine_state{state="ready"',
        "ALERTS_FOR_STATE",
        "[10m])) > 0",
        "== bool 0) > 0",
        "count(up{",
    ),
    *('role="head"', "vllmd_group_", 'state!="ready"'),  # of several hosts
    *('status="4xx"', 'status="5xx"', "memory_floor_bytes", 'owner="weights"'),
)
"""Parts of queries that find nothing where all is well; `make dashboards` draws where it is not."""


def queries() -> Iterator[tuple[str, str]]:
    """Yield the name of each panel and an expression of it, as Grafana would send it."""
    for name, build in DASHBOARDS.items():
        for panel in every_panel(build()):
            for target in panel["targets"]:
                expr = target["expr"].replace("$__rate_interval", f"{RATE_S}s")
                expr = expr.replace("$__range", "1h")
                for variable in ("job", "instance", "engine", "model", "gpu", "adapter"):
                    expr = expr.replace(f'"${variable}"', '".*"').replace(f'"${variable}|"', '".*"')
                assert "$" not in expr, expr
                yield f"{name}: {panel['title']}", expr


def test_every_query_of_every_panel_returns_data(tmp_path: Path) -> None:
    needs("prometheus")
    web = tmp_path / "web.yml"
    web.touch()  # one that opens the exporter to all is a web configuration, too
    with receiving(tmp_path, COST + FLEET, f'web_config_file = "{web}"') as made:
        address = made.exporter.removeprefix("http://")
        folders = [RULES / "rules"]
        with prometheus(tmp_path / "p", address, rules=folders) as stored:
            found: dict[tuple[str, str], int] = {}

            def all_have_data() -> bool:
                for model in ("tiny", "sql"):
                    made.chat(model, text="some words to look for", headers=trace_headers(model))
                missing = [each for each in queries() if not found.get(each)]
                found.update({each: len(stored.query(each[1])) for each in missing})
                return all(n for (_, expr), n in found.items() if not _is_seldom(expr))

            try:
                wait_for("data in every panel", all_have_data, 60)
            finally:
                lines = [f"{n:4d} series  {panel}: {expr}" for (panel, expr), n in found.items()]
                LIST.parent.mkdir(exist_ok=True)
                LIST.write_text("\n".join(lines) + "\n")
                print("\n".join(line for line in lines if line.startswith("   0")))
    assert len(found) > 100
    assert not [part for part in SELDOM if not any(part in expr for _, expr in found)]


def _is_seldom(expr: str) -> bool:
    return any(part in expr for part in SELDOM)
