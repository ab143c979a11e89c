from pathlib import Path

import pytest

from vllmd.gpu import sources
from vllmd.gpu.latest import Periods


@pytest.mark.parametrize("wanted", ["nvml", "demo", "none"])
def test_what_is_wanted_is_had(wanted: str) -> None:
    assert sources.source_of(wanted) == wanted


@pytest.mark.parametrize(("there", "source"), [(True, "nvml"), (False, "none")])
def test_auto_goes_by_the_host(monkeypatch: pytest.MonkeyPatch, there: bool, source: str) -> None:
    monkeypatch.setattr("vllmd.gpu.hardware.has_nvidia_gpu", lambda: there)
    assert sources.source_of("auto") == source


def test_reader_is_started_without_site_packages_but_with_pynvml() -> None:
    argv = sources.command_of("nvml", Periods(1, 10, 15))
    assert argv[1:4] == ["-I", "-S", "-B"]
    assert argv[5] == "nvml"
    assert (Path(argv[6]) / "pynvml.py").exists()
    assert argv[7:] == ["1", "10", "15"]


def test_demo_is_another_program() -> None:
    assert sources.command_of("demo", Periods(1, 10, 15))[5] == "demo"
