"""Every query of every panel, against a real Prometheus that scrapes a whole vllmd."""

from collections.abc import Iterator
from pathlib import Path

from tests.helpers.prometheus import prometheus
from tests.helpers.site import needs, wait_for
from tests.helpers.tracing import trace_headers
from tests.integration.conftest import COST, receiving
from vllmd.monitoring.dashboards import DASHBOARDS

RULES = Path(__file__).parents[2] / "dashboards"
LIST = Path(__file__).parents[2] / "build" / "queries.txt"
RATE_S = 10
SELDOM = {"gpu: Awaited: what is missing for a start"}
"""Panels that are empty on a host where all is well."""


def queries() -> Iterator[tuple[str, str]]:
    """Yield the name of each panel and an expression of it, as Grafana would send it."""
    for name, build in DASHBOARDS.items():
        for panel in build()["panels"]:
            for target in panel.get("targets", ()):
                expr = target["expr"].replace("$__rate_interval", f"{RATE_S}s")
                for variable in ("job", "instance", "engine", "model", "gpu"):
                    expr = expr.replace(f'"${variable}"', '".*"')
                assert "$" not in expr, expr
                yield f"{name}: {panel['title']}", expr


def test_every_query_of_every_panel_returns_data(tmp_path: Path) -> None:
    needs("prometheus")
    web = tmp_path / "web.yml"
    web.touch()  # one that opens the exporter to all is a web configuration, too
    with receiving(tmp_path, COST, f'web_config_file = "{web}"') as made:
        address = made.exporter.removeprefix("http://")
        folders = [RULES / "rules"]
        with prometheus(tmp_path / "p", address, rules=folders) as stored:
            found: dict[tuple[str, str], int] = {}

            def all_have_data() -> bool:
                for model in ("tiny", "sql"):
                    made.chat(model, text="some words to look for", headers=trace_headers(model))
                missing = [each for each in queries() if not found.get(each)]
                found.update({each: len(stored.query(each[1])) for each in missing})
                return all(n for (panel, _), n in found.items() if panel not in SELDOM)

            try:
                wait_for("data in every panel", all_have_data, 60)
            finally:
                lines = [f"{n:4d} series  {panel}: {expr}" for (panel, expr), n in found.items()]
                LIST.parent.mkdir(exist_ok=True)
                LIST.write_text("\n".join(lines) + "\n")
                print("\n".join(line for line in lines if line.startswith("   0")))
    assert len(found) > 100
    assert {panel for panel, _ in found} >= SELDOM
