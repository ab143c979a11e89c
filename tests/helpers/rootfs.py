"""Root file systems of Debian, which mmdebstrap makes once: they are kept outside the checkout."""

import subprocess
import zlib
from pathlib import Path

from vllmd.demo.real import cache_dir


def archive(kind: str, within: str, suite: str, *options: str) -> Path:
    """Return an archive of a small system; `within`, all that makes it another, is in its name."""
    made = cache_dir() / "rootfs" / f"{kind}-{zlib.crc32(within.encode()):08x}.tar"
    if not made.exists():
        made.parent.mkdir(parents=True, exist_ok=True)
        partial = made.with_name(f"{made.stem}.partial.tar")
        command = ["mmdebstrap", "--quiet", "--variant=minbase", *options, suite, str(partial)]
        subprocess.run(command, check=True)
        partial.rename(made)
    return made


def unpack(source: Path, root: Path) -> None:
    """Unpack an archive below a folder that is there."""
    subprocess.run(["tar", "-x", "-f", str(source), "-C", str(root)], check=True)
