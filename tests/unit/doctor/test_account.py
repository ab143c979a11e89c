import os
import pwd
import stat
from pathlib import Path

import pytest

from vllmd.doctor import account
from vllmd.doctor.account import UserAccount, of_engines

NOBODY = UserAccount("nobody", 65534, frozenset({65534}))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Return a folder that everybody may enter, as do those above it here."""
    for each in (tmp_path, *tmp_path.parents):
        if each.owner() == pwd.getpwuid(os.geteuid()).pw_name and each != Path("/"):
            each.chmod(0o755)
    return tmp_path


def test_barrier_names_the_first_folder_that_is_closed(folder: Path) -> None:
    model = folder / "models" / "m"
    model.mkdir(parents=True)
    assert NOBODY.barrier(model) is None
    (folder / "models").chmod(0o700)
    assert NOBODY.barrier(model) == f"{folder}/models: user nobody may not enter it"
    (folder / "models").chmod(0o711)
    model.chmod(0o711)
    assert NOBODY.barrier(model) == f"{model}: user nobody may not read it"
    assert NOBODY.barrier(folder / "none") == f"{folder}/none: No such file or directory"


def test_owner_group_and_root_are_told_apart(folder: Path) -> None:
    file = folder / "f"
    file.touch(0o640)
    file.chmod(0o640)
    own = os.stat(file)
    assert UserAccount("o", own.st_uid, frozenset()).may(file)
    assert UserAccount("g", 4321, frozenset({own.st_gid})).may(file)
    assert not UserAccount("x", 4321, frozenset()).may(file)
    assert UserAccount("root", 0, frozenset()).may(file, stat.S_IWOTH)
    assert not UserAccount("g", 4321, frozenset({own.st_gid})).may(file, stat.S_IWOTH)


def test_confined_service_does_not_see_homes() -> None:
    service = UserAccount("vllmd", 0, frozenset(), confined=True)
    found = service.barrier(Path("/root/models"))
    assert found == "/root/models: ProtectHome hides /root from the unit"


def test_engines_run_as_the_service_where_root_asks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(account, "SERVICE", "nobody")
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    assert of_engines(unit=True).name == "nobody"
    assert of_engines(unit=True).confined
    assert not of_engines(unit=False).confined
    monkeypatch.setattr(account, "SERVICE", "no-such-user")
    assert of_engines(unit=True).uid == 0
    monkeypatch.setattr(os, "geteuid", lambda: 4_000_000)
    assert of_engines(unit=True).name == "4000000"
