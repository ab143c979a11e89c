"""Unpack wheels into one folder: ``python3 packaging/unpack.py WHEELS SITE``.

As they are, with the rights that Debian wants of files; the same bytes whatever pip, Python or
umask there is. Only wheels that run on every Python 3.11 and later are taken.
"""

import re
import sys
import zipfile
from pathlib import Path, PurePosixPath

LASTING = re.compile(r"-(none|abi3)-[^-]+$")


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
        unpack(wheel, site)


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
