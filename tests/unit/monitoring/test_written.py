"""What is kept in the repository is what the program makes now."""

from pathlib import Path

import pytest

from tools.monitoring import ROOT, files
from vllmd.monitoring.settings import RuleSettings
from vllmd.monitoring.written import dashboard_files, grafana_alerts, rule_files

FILES = files()


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_file_is_fresh(path: Path) -> None:
    assert path.read_text() == FILES[path], "run 'make generate'"


def test_nothing_is_kept_that_is_not_made() -> None:
    folder = ROOT / "dashboards"
    kept = {*folder.glob("*.json"), *folder.glob("rules/*")}
    assert kept == {path for path in FILES if folder in path.parents}


def test_files_are_all_that_there_is() -> None:
    assert set(rule_files(RuleSettings())) > {
        "records-slo.yml",
        "alerts-engine.yml",
        "alerts-vram.yml",
    }
    assert "overview.json" in dashboard_files()
    assert 'datasourceUid: "other"' in grafana_alerts(RuleSettings(), "other")
