import pytest

from tests.helpers.make import DATA
from vllmd.engine.loading.phases import parse_phase
from vllmd.engine.log_reading.reading import FATAL
from vllmd.logs import milestones
from vllmd.logs.excerpt import excerpt
from vllmd.util.units import KIB


def test_each_fatal_line_is_one_for_the_reading_and_for_the_excerpt_of_a_huge_output(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for bound in ("WHOLE_BYTES", "HEAD_BYTES", "TAIL_BYTES"):
        monkeypatch.setattr(f"vllmd.logs.excerpt.{bound}", 4 * KIB)
    rest = b"INFO 11-23 18:48:58 [a.py:1] fine\n" * 1000
    for words in milestones.FATAL:
        line = f"(EngineCore pid=7) ERROR 11-23 19:09:22 [core.py:1] w{words} now"
        assert FATAL.search(line), words
        assert line.encode() in excerpt(rest + f"{line}\n".encode() + rest), words


def test_ready_and_a_banner_are_in_the_recorded_log_of_a_real_start() -> None:
    served = DATA / "engine-logs"
    texts = [path.read_text(errors="replace") for path in sorted(served.glob("*.log"))]
    assert any(milestones.READY in text for text in texts)
    assert any(banner in text for text in texts for banner in milestones.BANNERS)
    assert parse_phase(f"INFO:     {milestones.READY}.") == "listening"
