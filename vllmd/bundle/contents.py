"""What goes into a bundle, and its writing."""

import gzip
import io
import json
import os
import platform
import tarfile
import zlib
from collections.abc import Iterator
from pathlib import Path

import vllmd
from vllmd.bundle.anonymous import Anonymizer
from vllmd.shim.files import open_regular, read_regular
from vllmd.util.units import MIB

MAX_LOG_BYTES = 2 * MIB
MAX_FILE_BYTES = 64 * MIB
"""Of one file of an incident, packed and unpacked."""
INCIDENTS = 10


def about_host() -> str:
    """Return the versions of what vllmd runs on, without the host's name."""
    release = Path("/etc/os-release")
    about = {
        "vllmd": vllmd.__version__,
        "python": platform.python_version(),
        "kernel": platform.release(),
        "machine": platform.machine(),
        "system": release.read_text().splitlines()[0] if release.exists() else None,
        "cpus": os.cpu_count(),
        "driver": _read(Path("/proc/driver/nvidia/version")),
    }
    return json.dumps(about, indent=2) + "\n"


def incident_files(folder: Path) -> Iterator[tuple[str, str]]:
    """Yield name and content of the files of the latest incidents; packed ones unpacked."""
    if not folder.is_dir():
        return
    for incident in sorted(folder.iterdir())[-INCIDENTS:]:
        for path in sorted(incident.iterdir()):
            name = f"incidents/{incident.name}/{path.name.removesuffix('.gz')}"
            yield name, _content(path)


def log_files(folder: Path, engines: list[str]) -> Iterator[tuple[str, str]]:
    """Yield name and end of the engines' logs."""
    for engine in engines:
        path = folder / f"{engine}.log"
        if path.exists():
            with open_regular(path) as file:
                file.seek(max(0, os.fstat(file.fileno()).st_size - MAX_LOG_BYTES))
                yield f"logs/{path.name}", _decoded(file.read(MAX_LOG_BYTES))


def write_archive(target: Path, files: Iterator[tuple[str, str]], clean: Anonymizer) -> list[str]:
    """Write a `.tar.gz` with those files, each of them cleaned, for its owner's eyes only.

    Returns: the names of the files, as they are in it.
    Raises: OSError: it cannot be written.
    """
    root = target.name.removesuffix(".tar.gz")
    names = []
    descriptor = os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "wb") as raw, tarfile.open(fileobj=raw, mode="w:gz") as archive:
        for name, content in files:
            data = clean.text(content).encode()
            entry = tarfile.TarInfo(f"{root}/{clean.text(name)}")
            entry.size = len(data)
            entry.mode = 0o644
            archive.addfile(entry, io.BytesIO(data))
            names.append(name)
    return names


def _read(path: Path) -> str | None:
    try:
        return path.read_text(errors="replace").strip()
    except OSError:
        return None


def _content(path: Path) -> str:
    """Return what a file of an incident holds, unpacked; what is no such file says what it is."""
    try:
        data = read_regular(path, MAX_FILE_BYTES)
        if path.suffix != ".gz":
            return _decoded(data)
        with gzip.GzipFile(fileobj=io.BytesIO(data)) as packed:
            return _decoded(packed.read(MAX_FILE_BYTES))
    except (EOFError, zlib.error) as error:
        return f"vllmd could not unpack it: {error}\n"
    except OSError as error:
        return f"vllmd could not read it: {error.strerror or error}\n"


def _decoded(data: bytes) -> str:
    return data.decode(errors="replace")
