"""Unpack wheels: ``python3 packaging/unpack.py WHEELS SITE``.

As they are, with the rights that Debian wants of files; the same bytes whatever pip, Python or
umask there is. Only wheels that run on every Python 3.11 and later are taken. Those that are
compiled lie apart, by Debian's name of their architecture: SITE-amd64, SITE-arm64.
"""

import re
import sys
import zipfile
from pathlib import Path, PurePosixPath

LASTING = re.compile(r"-(none|abi3)-[^-]+$")
ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64"}
"""What Debian calls the processors that wheels are for."""


def place(wheel: Path, site: Path) -> Path:
    """Return the folder for a wheel: `site`, or that of the architecture that it is compiled for.

    Raises: SystemExit: it is for another one.
    """
    tag = wheel.stem.rpartition("-")[2]
    if tag == "any":
        return site
    for machine, architecture in ARCHITECTURES.items():
        if tag.endswith(f"_{machine}"):
            return site.with_name(f"{site.name}-{architecture}")
    raise SystemExit(f"{wheel.name}: no package is built for {tag}")


def unpack(wheel: Path, site: Path) -> None:
    """Unpack a wheel.

    Raises: SystemExit: it is for one version of Python, or wants more than to lie there.
    """
    if not LASTING.search(wheel.stem):
        raise SystemExit(
            f"{wheel.name} is for one version of Python: find one that is pure or abi3"
        )
    with zipfile.ZipFile(wheel) as archive:
        for name in archive.namelist():
            path = PurePosixPath(name)
            if ".data" in path.parts[0] or path.is_absolute() or ".." in path.parts:
                raise SystemExit(f"{wheel.name} has {name}: only plain packages can be unpacked")
            if name.endswith("/"):
                continue
            target = site / path
            target.parent.mkdir(parents=True, exist_ok=True)
            if target.exists():
                raise SystemExit(f"{wheel.name} has {name}, and so has another wheel")
            target.write_bytes(archive.read(name))
            target.chmod(0o644)


def main(wheels: Path, site: Path) -> None:
    """Unpack them all."""
    for wheel in sorted(wheels.glob("*.whl")):
        unpack(wheel, place(wheel, site))


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
