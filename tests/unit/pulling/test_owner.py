"""Writing as the owner of a folder."""

import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from vllmd.pulling.owner import as_owner

OTHER = 65534


@pytest.fixture
def owned() -> Iterator[Path]:
    """Return a folder of another user, if this is root; else it is our own."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        folder.chmod(0o755)
        cache = folder / "cache"
        cache.mkdir()
        if os.geteuid() == 0:
            os.chown(cache, OTHER, OTHER)
        yield cache


def test_what_is_made_belongs_to_the_owner_and_links_lead_nowhere(owned: Path) -> None:
    secret = owned.parent / "secret"
    secret.write_text("of root")
    secret.chmod(0o600)
    (owned / "link").symlink_to(secret)
    before = (os.geteuid(), os.getegid(), os.getgroups())
    with as_owner(owned / "hub" / "deep"):
        (owned / "made").mkdir()
        if os.geteuid() != before[0]:
            with pytest.raises(PermissionError):
                (owned / "link").open("a")
    assert (os.geteuid(), os.getegid(), os.getgroups()) == before
    assert (owned / "made").stat().st_uid == owned.stat().st_uid
    assert secret.read_text() == "of root"


def test_identity_is_taken_and_given_back(owned: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[tuple[str, object]] = []
    for name in ("setgroups", "setegid", "seteuid"):
        monkeypatch.setattr(os, name, lambda value, name=name: asked.append((name, value)))
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    monkeypatch.setattr(os, "getegid", lambda: 0)
    monkeypatch.setattr(os, "getgroups", lambda: [0, 4])
    about = os.stat_result((0o40755, 0, 0, 1, 7, 8, 0, 0, 0, 0))
    monkeypatch.setattr(Path, "stat", lambda *_, **__: about)
    with pytest.raises(ZeroDivisionError), as_owner(owned):
        asked.append(("inside", 1 // 0))
    assert asked == [
        ("setgroups", []), ("setegid", 8), ("seteuid", 7),
        ("seteuid", 0), ("setegid", 0), ("setgroups", [0, 4]),
    ]  # fmt: skip
