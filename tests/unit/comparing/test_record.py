from pathlib import Path

import attrs
import pytest

from tests.helpers.comparing import measured
from vllmd.comparing.bench import LoadSpec
from vllmd.comparing.record import before, from_json, keep, kept
from vllmd.errors import CompareError


def test_a_record_reads_back(tmp_path: Path) -> None:
    path = keep(tmp_path, measured())
    assert path == tmp_path / "chat" / "0.31.0-1000.json"
    assert list(kept(tmp_path, "chat")) == [measured()]
    assert from_json(measured().to_json() | {"load": attrs.asdict(LoadSpec())}) == measured()


def test_before_is_the_newest_of_another_version_under_the_same_load(tmp_path: Path) -> None:
    for each in (
        measured(at=1.0),
        measured(at=3.0, version="0.30.0"),
        measured(at=2.0, version="0.30.0"),
        measured(at=9.0, version="0.29.0", load=LoadSpec(requests=7)),
        measured(at=9.0, version="0.28.0", model="other"),
        measured(at=8.0, version="0.32.0"),
    ):
        keep(tmp_path, each)
    found = before(tmp_path, "chat", "/srv/m", "0.32.0", LoadSpec())
    assert found is not None
    assert (found.version, found.at) == ("0.30.0", 3.0)
    assert before(tmp_path, "code", "/srv/m", "0.32.0", LoadSpec()) is None


@pytest.mark.parametrize("text", ["{", "[]", "{}", '{"rounds": []}'])
def test_what_is_no_record_is_passed_over(tmp_path: Path, text: str) -> None:
    keep(tmp_path, measured())
    (tmp_path / "chat" / "x.json").write_text(text)
    assert len(list(kept(tmp_path, "chat"))) == 1


def test_a_disk_that_refuses_is_named(tmp_path: Path) -> None:
    (tmp_path / "chat").write_text("in the way")
    with pytest.raises(CompareError, match="cannot be written"):
        keep(tmp_path, measured())
