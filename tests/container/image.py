"""The image of packaging/container/Containerfile as a root file system, without a registry.

The stage on BASE is made as its lines say, on a Debian from mmdebstrap; its stage `parts` is what
uv makes of this host's lock, with the same arguments: pip asks an index that may be slow.
"""

import json
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import attrs

from tests.helpers.rootfs import archive, unpack
from tests.helpers.site import needs

ROOT = Path(__file__).parents[2]
FILE = ROOT / "packaging" / "container" / "Containerfile"
INCLUDE = "python3"
SLIM = ("/usr/share/doc/*", "/usr/share/man/*", "/usr/share/locale/*")
SITE = "usr/lib/vllmd/site"


@attrs.frozen
class Image:
    """A root file system, and how its first process is started."""

    root: Path
    env: dict[str, str]
    command: list[str]
    user: str
    stop_signal: str


def instructions() -> list[tuple[str, str]]:
    """Return the lines of the Containerfile: instruction and arguments."""
    text = FILE.read_text().replace("\\\n", " ")
    lines = [line.strip() for line in text.splitlines() if line.strip() and line[0] != "#"]
    return [(word, rest.strip()) for word, _, rest in (line.partition(" ") for line in lines)]


def last_stage() -> list[tuple[str, str]]:
    """Return the lines of the stage on BASE."""
    found = instructions()
    start = [number for number, each in enumerate(found) if each[0] == "FROM"][-1]
    return found[start + 1 :]


def described(root: Path) -> Image:
    """Return what the Containerfile says of a root file system that was made."""
    said = dict(last_stage())
    env = {"PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"}
    env |= dict(rest.partition("=")[::2] for word, rest in last_stage() if word == "ENV")
    command = json.loads(said["ENTRYPOINT"]) + json.loads(said["CMD"])
    return Image(root, env, command, said["USER"], said["STOPSIGNAL"])


def build(folder: Path) -> None:
    """Make the stage on BASE, as `root` below `folder`."""
    root = folder / "making"
    root.mkdir()
    unpack(debian(), root)
    for word, rest in last_stage():
        if word == "COPY":
            _copy(shlex.split(rest), root)
        elif word == "RUN":
            subprocess.run(["chroot", str(root), "/bin/sh", "-ec", rest], check=True)
    root.rename(folder / "root")


def _copy(words: list[str], root: Path) -> None:
    """Do what COPY does: of a folder what is in it."""
    source, target = words[-2:]
    place = root / target.lstrip("/")
    if words[0] == "--from=parts":
        parts(place)
    elif (ROOT / source).is_dir():
        ignored = shutil.ignore_patterns("__pycache__")
        shutil.copytree(ROOT / source, place, symlinks=True, ignore=ignored)
    else:
        shutil.copy(ROOT / source, place)


def parts(site: Path) -> None:
    """Do what the stage `parts` does."""
    (line,) = [rest for word, rest in instructions() if word == "RUN" and "pip install" in rest]
    arguments = shlex.split(line)[3:]
    arguments[arguments.index("--target") + 1] = str(site)
    arguments[arguments.index("-r") + 1] = str(ROOT / "requirements" / "runtime.txt")
    arguments.remove("--no-cache-dir")
    uv = [str(Path(sys.executable).with_name("uv")), "pip", *arguments]
    subprocess.run([*uv, "--quiet", "--python-version", "3.11"], check=True)


def debian() -> Path:
    """Return a Debian as the slim image has it."""
    needs("mmdebstrap")
    without = [f"--dpkgopt=path-exclude={each}" for each in SLIM]
    within = " ".join((INCLUDE, *SLIM))
    return archive("slim", within, "bookworm", f"--include={INCLUDE}", *without)
