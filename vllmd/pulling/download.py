"""One file: what is here is kept, the rest is asked for, all is held against the hub's hash."""

import errno
import hashlib
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, BinaryIO

import httpx

from vllmd.pulling.cache import ModelCache
from vllmd.pulling.repository import Hub, PullError, RemoteFile, Repository
from vllmd.util.units import MIB, format_bytes

ATTEMPTS = 6
FIRST_PAUSE_S = 1.0
AGAIN = frozenset({408, 429, 500, 502, 503, 504})
"""Answers after which it is asked again."""

Came = Callable[[int], None]
"""Hears of bytes that came; of a negative number if they have to come again.

It may raise PullError: then no more are to come.
"""


class TryAgainError(Exception):
    """The connection broke, or the hub is busy."""


def fetch(
    hub: Hub,
    cache: ModelCache,
    repository: Repository,
    file: RemoteFile,
    came: Came,
    pause: Callable[[float], Any],
) -> None:
    """Bring a file into the cache, whole and verified; `pause` waits before another attempt.

    Raises: PullError: it cannot be had, the disk is full, or it is not what the hub says.
    """
    cache.blob(file).parent.mkdir(parents=True, exist_ok=True)
    with cache.locked(file):
        for attempt in range(1, ATTEMPTS + 1):
            came(0)  # who stops the others is heard before another attempt
            try:
                _attempt(hub, cache, repository, file, came)
                break
            except TryAgainError as error:
                if attempt == ATTEMPTS:
                    raise PullError(
                        f"{file.path}: {error}; what came is kept, pull again to go on"
                    ) from None
                pause(FIRST_PAUSE_S * 2 ** (attempt - 1))
            except OSError as error:
                raise PullError(_about_disk(cache, file, error)) from None


def _about_disk(cache: ModelCache, file: RemoteFile, error: OSError) -> str:
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        here = format_bytes(cache.bytes_here(file))
        return (
            f"the disk of {cache.folder} is full: {file.path} has {here} of "
            f"{format_bytes(file.size)}, which are kept; make room, then pull again"
        )
    return f"{error.filename or cache.folder}: {error.strerror}; let this user write there"


def _attempt(
    hub: Hub, cache: ModelCache, repository: Repository, file: RemoteFile, came: Came
) -> None:
    partial = cache.partial(file)
    with partial.open("a+b") as output:
        digest = _digest_of(file, output)
        here = kept = output.tell()
        if here > file.size:
            here = _begin_again(output, here, came)
            digest = _new_digest(file)
        if here < file.size:
            digest = _receive(hub, repository, file, output, (digest, here), came)
        output.flush()
        whole = output.tell()
        if whole == file.size:
            os.fsync(output.fileno())  # its name will say that it is whole, after a power cut too
    if whole != file.size:
        raise TryAgainError(f"{whole} of {file.size} bytes came")
    if digest.hexdigest() != file.name:
        partial.unlink()
        came(-file.size)
        if kept:
            raise TryAgainError("what was here of it was something else, and was removed")
        raise PullError(
            f"{file.path} is not what the hub says: its hash is {digest.hexdigest()}, not "
            f"{file.name}; it was removed. Pull again; if that does not help, a proxy or the "
            "disk changes it"
        )
    partial.rename(cache.blob(file))


def _receive(
    hub: Hub,
    repository: Repository,
    file: RemoteFile,
    output: BinaryIO,
    so_far: tuple[Any, int],
    came: Came,
) -> Any:
    """Append what is missing; return the hash of all. Raises: TryAgainError, PullError."""
    digest, here = so_far
    headers = dict(hub.headers) | ({"Range": f"bytes={here}-"} if here else {})
    # a compressed answer would have other bytes than the file
    headers["Accept-Encoding"] = "identity"
    url = hub.url(repository, file)
    try:
        with hub.stream(url, headers) as answer:
            if answer.status_code in AGAIN:
                raise TryAgainError(f"the hub answers {answer.status_code}")
            if answer.status_code == httpx.codes.REQUESTED_RANGE_NOT_SATISFIABLE:
                raise PullError(_of_another_size(hub, file, f"no more than {here} bytes of it"))
            hub.refuse(answer, repository.model, repository.commit)
            if here and answer.status_code != httpx.codes.PARTIAL_CONTENT:
                _begin_again(output, here, came)
                digest, here = _new_digest(file), 0
            length = answer.headers.get("content-length", "")
            if length.isdigit() and int(length) != file.size - here:
                raise PullError(_of_another_size(hub, file, f"{here + int(length)} bytes of it"))
            for block in answer.iter_raw():  # as it comes: nothing is lost when it breaks
                output.write(block)
                digest.update(block)
                came(len(block))
                if output.tell() > file.size:
                    raise TryAgainError("more came than the file has")
    except httpx.HTTPError as error:
        output.flush()
        raise TryAgainError(hub.unreachable(error)) from None
    return digest


def _of_another_size(hub: Hub, file: RemoteFile, has: str) -> str:
    return (
        f"{file.path}: {hub.endpoint} lists {file.size} bytes, and has {has}; what came is kept. "
        "Pull again later, or set HF_ENDPOINT to another hub"
    )


def digest_of(file: RemoteFile, path: Path) -> str:
    """Return the hash of a file that is here, as the hub has it. Raises: OSError."""
    with path.open("rb") as content:
        return str(_digest_of(file, content).hexdigest())


def _begin_again(output: BinaryIO, here: int, came: Came) -> int:
    output.truncate(0)
    output.seek(0)
    came(-here)
    return 0


def _digest_of(file: RemoteFile, output: BinaryIO) -> Any:
    """Return the hash of what is here, and leave the file at its end."""
    digest = _new_digest(file)
    output.seek(0)
    while block := output.read(4 * MIB):
        digest.update(block)
    return digest


def _new_digest(file: RemoteFile) -> Any:
    """Return the hash that the hub has: SHA-256 of large files, that of a git blob of others."""
    if file.sha256:
        return hashlib.sha256()
    return hashlib.sha1(f"blob {file.size}\0".encode(), usedforsecurity=False)
