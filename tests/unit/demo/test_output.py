import re

import pytest

from tests.helpers.make import DATA
from vllmd.demo.output import loading, say
from vllmd.engine.loading.phases import further, parse_phase


def test_say_has_vllms_prefix(capsys: pytest.CaptureFixture[str]) -> None:
    say("EngineCore", "words", source="core.py:133")
    pattern = r"\(\w+ pid=\d+\) INFO \d\d-\d\d \d\d:\d\d:\d\d \[[\w.]+:\d+\] "
    assert re.match(pattern + "words\n", capsys.readouterr().err)
    real = (DATA / "engine-logs" / "cpu-0.32-sigterm-idle.log").read_text()
    assert re.search(pattern, real)


def test_loading_lines_lead_through_the_phases() -> None:
    phase = None
    for _, text in loading("m"):
        phase = further(phase, parse_phase(text))
    assert phase == "warm_up"
