"""Write what is made of vllmd/monitoring: ``python tools/monitoring.py``; `make generate` does."""

from pathlib import Path

from vllmd.monitoring.settings import RuleSettings
from vllmd.monitoring.written import dashboard_files, grafana_alerts, rule_files

ROOT = Path(__file__).parents[1]


def files() -> dict[Path, str]:
    """Return all of them."""
    rules = {f"rules/{name}": text for name, text in rule_files(RuleSettings()).items()}
    made = {**dashboard_files(), **rules}
    alerting = ROOT / "etc" / "grafana" / "provisioning" / "alerting" / "vllmd.yml"
    return {
        **{ROOT / "dashboards" / name: text for name, text in made.items()},
        alerting: grafana_alerts(RuleSettings()),
    }


def main() -> None:
    """Write them all."""
    for path, text in files().items():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)


if __name__ == "__main__":
    main()
