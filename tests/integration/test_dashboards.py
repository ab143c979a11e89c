"""Every query of every panel, against a real Prometheus that scrapes a whole vllmd."""

from pathlib import Path

from dashboards.generate import DASHBOARDS

from tests.helpers.prometheus import prometheus
from tests.helpers.site import needs, wait_for
from tests.helpers.tracing import trace_headers
from tests.integration.conftest import COST, receiving

RULES = Path(__file__).parents[2] / "dashboards" / "rules"
VARIABLES = {
    "$instance": ".*",
    "$engine": ".*",
    "$__rate_interval": "10s",
}


def test_every_query_of_every_panel_returns_data(tmp_path: Path) -> None:
    needs("prometheus")
    with receiving(tmp_path, COST) as made:
        address = made.exporter.removeprefix("http://")
        with prometheus(tmp_path / "p", address, rules=RULES) as stored:
            found: dict[str, int] = {}

            def all_have_data() -> bool:
                for model in ("tiny", "sql"):
                    made.chat(model, text="some words to look for", headers=trace_headers(model))
                for name, build in DASHBOARDS.items():
                    for panel in build()["panels"]:
                        for target in panel.get("targets", ()):
                            expr = target["expr"]
                            for variable, value in VARIABLES.items():
                                expr = expr.replace(variable, value)
                            found[f"{name}: {panel['title']}: {expr}"] = len(stored.query(expr))
                return bool(found) and all(found.values())

            try:
                wait_for("data in every panel", all_have_data, 60)
            finally:
                print("\n".join(f"{count:3d} series  {query}" for query, count in found.items()))
