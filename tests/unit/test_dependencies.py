"""The dependency rule: one small package for every Debian means pure or abi3 wheels only."""

import json
import re
from importlib import metadata
from pathlib import Path

import pytest

from tests.helpers.each import of_each

REQUIREMENTS = Path(__file__).parents[2] / "requirements"
LOCKS = sorted(REQUIREMENTS.glob("*.txt")) + sorted(
    (Path(__file__).parents[2] / "vllmd/engine/locks").glob("*.txt")
)
NPM_LOCKS = sorted(
    path
    for folder in ("tests", "tools")
    for path in (Path(__file__).parents[2] / folder).glob("*/package-lock.json")
)


def locked(path: Path) -> list[str]:
    return re.findall(r"^([A-Za-z0-9_.-]+)==", path.read_text(), re.MULTILINE)


def test_runtime_lock_names_every_dependency() -> None:
    required = metadata.requires("vllmd") or ()
    wanted = {r.split(";")[0].strip() for r in required if "extra ==" not in r}
    assert wanted
    assert wanted <= set(locked(REQUIREMENTS / "runtime.txt"))


@of_each(locked(REQUIREMENTS / "runtime.txt"))
def test_runtime_wheels_are_pure_or_abi3(name: str) -> None:
    wheel = metadata.distribution(name).read_text("WHEEL")
    assert wheel is not None, "installed from source"
    tags = re.findall(r"^Tag: (\S+)$", wheel, re.MULTILINE)
    assert tags
    for tag in tags:
        _, abi, _ = tag.split("-")
        assert abi in ("none", "abi3"), f"{name} has a wheel for one Python only: {tag}"


@pytest.mark.parametrize("path", LOCKS, ids=lambda p: p.name)
def test_locks_have_hashes_and_no_address(path: Path) -> None:
    text = path.read_text()
    entries = re.split(r"\n(?=[A-Za-z0-9])", text)
    for entry in entries:
        if "==" in entry.split("\n")[0]:
            assert "--hash=sha256:" in entry, entry.split("\n")[0]
    assert "://" not in text
    assert "--index-url" not in text


@pytest.mark.parametrize("path", NPM_LOCKS, ids=lambda p: p.parent.name)
def test_locks_of_npm_have_hashes_and_no_address(path: Path) -> None:
    found = json.loads(path.read_text())["packages"]
    assert len(found) > 1
    for name, package in found.items():
        assert not name or package["integrity"].startswith("sha512-"), name
    assert "://" not in path.read_text()
