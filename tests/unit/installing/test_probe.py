"""The probe against a parser of the real one's shape; the real one is asked in tests/engine."""

import json
import os
import subprocess
import sys
import zipfile
from pathlib import Path

from tests.helpers.wheels import wheel
from vllmd.installing.probing import PROBE


def probe(tmp_path: Path, first: str = "") -> subprocess.CompletedProcess[str]:
    site = tmp_path / "site"
    with zipfile.ZipFile(wheel(tmp_path, "0.31.0", first=first)) as archive:
        archive.extractall(site)
    command = [sys.executable, PROBE, str(tmp_path / "said.json")]
    env = {**os.environ, "PYTHONPATH": str(site)}
    return subprocess.run(command, env=env, capture_output=True, text=True, check=False)


def test_probe_reads_names_types_choices_and_defaults(tmp_path: Path) -> None:
    done = probe(tmp_path, "print('noise')\n")
    assert done.returncode == 0, done.stderr
    said = json.loads((tmp_path / "said.json").read_text())
    assert (said["version"], said["torch"], said["cuda"]) == ("0.31.0", "", None)
    flags = {each["names"][0]: each for each in said["flags"] if each["names"]}
    assert flags["--port"]["takes"] == "integer"
    assert flags["--gpu-memory-utilization"]["takes"] == "number"
    assert flags["--gpu-memory-utilization"]["default"] == 0.92
    assert flags["--dtype"]["choices"] == ["auto", "float16"]
    assert flags["--served-model-name"]["many"]
    assert flags["--quick"]["names"] == ["--quick", "--no-quick"]
    assert flags["--quick"]["takes"] == "nothing"
    assert flags["--old"]["deprecated"]
    assert not flags["--dtype"]["deprecated"]
    assert flags["--help"]["short"] == ["-h"]


def test_probe_of_what_cannot_be_imported_fails(tmp_path: Path) -> None:
    done = probe(tmp_path, "raise ImportError('libcudart.so.13')\n")
    assert done.returncode == 1
    assert "libcudart.so.13" in done.stderr
    assert not (tmp_path / "said.json").exists()
