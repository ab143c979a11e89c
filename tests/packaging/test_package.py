"""The package as a Debian person looks at it: what is in it, and what Debian's tools say of it."""

import hashlib
import os
import re
import subprocess
import sys
import tarfile
from fnmatch import fnmatch
from pathlib import Path

import pytest

from tests.helpers.site import needs
from tests.packaging import systems
from tests.packaging.conftest import build, lintian, note

DEB = "vllmd_0.1.0_amd64.deb"
SIZE_LIMIT = 15_000_000


@pytest.fixture(scope="module")
def unpacked(debs: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with the package's files."""
    folder = tmp_path_factory.mktemp("unpacked")
    subprocess.run(["dpkg-deb", "-x", debs / DEB, folder], check=True)
    return folder


def test_two_builds_are_the_same_bytes(
    debs: Path, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    other = {"TZ": "Pacific/Kiritimati", "LC_ALL": "C", "TMPDIR": str(tmp_path), "HOME": "/"}
    build(tmp_path / "again", "0.1.0", {**other, "UMASK": "077"})
    for name in (DEB, "vllmd_0.1.0.tar.xz"):
        first, second = debs / name, tmp_path / "again" / name
        digests = [hashlib.sha256(path.read_bytes()).hexdigest() for path in (first, second)]
        assert digests[0] == digests[1], name
        size = first.stat().st_size
        note(request, f"{name}: {size / 1e6:.2f} MB, sha256 {digests[0]} both times")
        assert size < SIZE_LIMIT


def test_lintian_has_no_complaint(debs: Path, request: pytest.FixtureRequest) -> None:
    lintian(debs / "vllmd_0.1.0_amd64.changes", request)


def test_piuparts_passes(debs: Path, tmp_path: Path, request: pytest.FixtureRequest) -> None:
    needs("piuparts")
    chroot = tmp_path / "chroot"
    chroot.mkdir()
    with tarfile.open(systems.debian("bookworm", kernel=False)) as archive:
        archive.extractall(chroot, filter="fully_trusted")
    where = ["--existing-chroot", str(chroot), "--distribution", "bookworm", "--no-eatmydata"]
    command = ["piuparts", *where, "--warn-on-debsums-errors", "--no-upgrade-test", str(debs / DEB)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    last = [line for line in done.stdout.splitlines() if "INFO: PASS" in line or "ERROR" in line]
    note(request, f"piuparts: {'; '.join(line.split('INFO: ')[-1] for line in last)}")
    assert done.returncode == 0, done.stdout[-4000:]


def test_documentation_site_is_whole(unpacked: Path) -> None:
    site = unpacked / "usr/share/doc/vllmd/html"
    assert (site / "searchindex.js").is_file()
    pages = list(site.rglob("*.html"))
    assert len(pages) > 70
    for page in pages:
        for target in re.findall(r'(?:href|src)="(?!\w+:)([^"#?]+)', page.read_text()):
            assert (page.parent / target).exists(), f"{page.relative_to(site)}: {target}"


def test_links_and_pictures_of_the_readme_are_there(unpacked: Path) -> None:
    readme = unpacked / "usr/share/doc/vllmd/README.md"
    targets = re.findall(r"\]\((?!https?:)([^)#]+)", readme.read_text())
    assert len(targets) > 25
    assert any(target.endswith(".svg") for target in targets)
    assert [target for target in targets if not (readme.parent / target).is_file()] == []


def test_every_file_of_a_wheel_is_covered_by_copyright(unpacked: Path) -> None:
    site = unpacked / "usr/lib/vllmd/site"
    text = (unpacked / "usr/share/doc/vllmd/copyright").read_text()
    patterns = re.findall(r"(?:^Files:)? (site\*/\S+)$", text, re.MULTILINE)
    own = ("vllmd/*",)
    files = [str(path.relative_to(site)) for path in site.rglob("*") if path.is_file()]
    assert len(files) > 1000
    left = [
        name
        for name in files
        if not any(fnmatch(name, pattern) for pattern in own)
        and not any(fnmatch(f"site/{name}", pattern) for pattern in patterns)
    ]
    assert left == []


def test_nothing_is_for_one_python_and_nothing_is_compiled(unpacked: Path) -> None:
    site = unpacked / "usr/lib/vllmd/site"
    libraries = [path.name for path in site.rglob("*.so*")]
    assert libraries
    assert all(name.endswith(".abi3.so") for name in libraries), libraries
    assert not list(site.rglob("*.pyc"))
    assert not [path for path in site.rglob("*") if path.is_file() and os.access(path, os.X_OK)]


def test_what_the_package_names_it_brings(unpacked: Path) -> None:
    units = list((unpacked / "usr/lib/systemd/system").rglob("vllmd*"))
    assert units
    for path in (each for each in units if each.is_file()):
        for word in re.findall(
            r"(?:/usr/share/doc/vllmd|/usr/lib/vllmd|/usr/bin/vllmd)[\w/.-]*", path.read_text()
        ):
            assert (unpacked / word.lstrip("/").rstrip(".")).exists(), (path.name, word)
        for page, section in re.findall(r"man:([\w.-]+)\((\d)\)", path.read_text()):
            assert list(unpacked.glob(f"usr/share/man/man{section}/{page}.{section}.gz")), page


@pytest.mark.parametrize(
    ("shell", "script", "ask"),
    [
        ("fish", "fish/vendor_completions.d/vllmd.fish", "source {0}; complete -C 'vllmd sta'"),
        (
            "zsh",
            "zsh/vendor-completions/_vllmd",
            # a terminal of its own, where completion lists what there is
            "zmodload zsh/zpty; zpty t zsh -f -i; zpty -w t 'PS1=; fpath=({1} $fpath); "
            'autoload -U compinit; compinit -D -u; zstyle ":completion:*" menu no\'; sleep 1; '
            "zpty -n -w t $'vllmd sta\\t\\t'; sleep 3; zpty -r -t t out1; "
            "while zpty -r -t t more; do out1+=$more; done; print -r -- $out1",
        ),
    ],
)
def test_shells_complete_commands(unpacked: Path, shell: str, script: str, ask: str) -> None:
    needs(shell)
    path = unpacked / "usr/share" / script
    env = {
        **os.environ,
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
        "TERM": "dumb",
    }
    command = [shell, "-c", ask.format(path, path.parent)]
    done = subprocess.run(command, env=env, capture_output=True, text=True, check=False, timeout=60)
    for word in ("status", "start"):
        assert word in done.stdout, done
