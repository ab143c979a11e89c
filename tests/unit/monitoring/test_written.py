"""What is kept in the repository is what the program makes now."""

from functools import cache

from tools.monitoring import ROOT, files
from vllmd.monitoring.settings import RuleSettings
from vllmd.monitoring.written import dashboard_files, grafana_alerts, rule_files

made = cache(files)


def test_file_is_fresh() -> None:
    stale = [path for path, text in made().items() if path.read_text() != text]
    assert not stale, "run 'make generate'"


def test_nothing_is_kept_that_is_not_made() -> None:
    folder = ROOT / "dashboards"
    kept = {*folder.glob("*.json"), *folder.glob("rules/*")}
    assert kept == {path for path in made() if folder in path.parents}


def test_files_are_all_that_there_is() -> None:
    assert set(rule_files(RuleSettings())) > {
        "records-slo.yml",
        "alerts-engine.yml",
        "alerts-vram.yml",
    }
    assert "overview.json" in dashboard_files()
    assert 'datasourceUid: "other"' in grafana_alerts(RuleSettings(), "other")
