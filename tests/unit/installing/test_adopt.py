from pathlib import Path

import pytest

from tests.helpers.wheels import fake_engine
from vllmd.errors import InstallError
from vllmd.installing.adopt import adopt, environment_of
from vllmd.installing.layout import InstalledEngines


def probed(folder: Path, text: str) -> None:
    """Make its Python answer the probe: the file that is its last argument."""
    python = folder / "bin" / "python"
    python.write_text(f"#!/bin/sh\nfor last; do :; done\necho '{text}' > \"$last\"\n")


SAID = '{"version": "0.30.1", "torch": "2", "cuda": "12.8", "python": "3.12", "flags": []}'


def test_adopt_links_asks_and_keeps(tmp_path: Path) -> None:
    theirs = tmp_path / "theirs"
    program = fake_engine(theirs)
    probed(theirs, SAID)
    engines = InstalledEngines(tmp_path / "engines")
    made = adopt(engines, program)
    assert (made.name, made.build, made.adopted) == ("0.30.1", "CUDA 12.8", True)
    assert engines.folder("0.30.1").resolve() == theirs
    assert engines.record("0.30.1") == made
    assert adopt(engines, theirs).name == "0.30.1"  # again: read anew
    probed(theirs, SAID.replace("0.30.1", "0.30.2"))
    assert adopt(engines, theirs, "0.30.1").version == "0.30.2"


def test_taken_name_is_refused(tmp_path: Path) -> None:
    engines = InstalledEngines(tmp_path / "engines")
    fake_engine(engines.folder("0.30.1"))
    theirs = tmp_path / "theirs"
    fake_engine(theirs)
    probed(theirs, SAID)
    with pytest.raises(InstallError, match=r"--name 0\.30\.1\+adopted"):
        adopt(engines, theirs)
    assert adopt(engines, theirs, "0.30.1+ours").name == "0.30.1+ours"
    with pytest.raises(InstallError, match="no name for an engine"):
        adopt(engines, theirs, "../x")


def test_what_says_nothing_is_not_taken(tmp_path: Path) -> None:
    theirs = tmp_path / "theirs"
    fake_engine(theirs)
    probed(theirs, "no JSON")
    with pytest.raises(InstallError, match="said nothing that can be used"):
        adopt(InstalledEngines(tmp_path / "engines"), theirs)
    assert InstalledEngines(tmp_path / "engines").names() == []


def test_environment_is_found_from_both_ends(tmp_path: Path) -> None:
    program = fake_engine(tmp_path / "e")
    assert environment_of(program) == environment_of(tmp_path / "e") == tmp_path / "e"
    (tmp_path / "e" / "bin" / "python").unlink()
    with pytest.raises(InstallError, match="bin/python cannot be run"):
        environment_of(program)
