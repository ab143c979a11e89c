"""The answers that were read from pictures of six outages are held against what was drawn."""

import re
from pathlib import Path

from tests.helpers.fleet.outages import FAULTS, drawn

ANSWERS = (Path(__file__).parent / "five_seconds.md").read_text()
TOLD = re.compile(r"(\w+): (\S+) of (\S+):9840 at minute (\d+)")


def test_answers_name_the_host_the_engine_and_the_minute_of_each_outage() -> None:
    seed = re.search(r"seed (\d+)", ANSWERS)
    assert seed is not None
    rows = [line.split("|")[1:-1] for line in ANSWERS.splitlines() if line.startswith("| ")][2:]
    outages = drawn(int(seed[1]))
    assert len(rows) == len(outages) == len(FAULTS)
    for (broken, since, _do, truth), (_scene, told) in zip(rows, outages, strict=True):
        match = TOLD.fullmatch(told)
        assert match is not None
        kind, engine, host, minute = match.groups()
        assert f"12:{12 + int(minute)}" in since
        assert f"12:{12 + int(minute)}" in truth
        assert host in broken
        assert engine in broken or kind == "goes_silent", "a silent host is no engine"
