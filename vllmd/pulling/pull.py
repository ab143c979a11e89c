"""The steps of a pull: look up, choose, look for room, bring four files at a time, name them."""

import contextlib
from collections.abc import Callable, Mapping
from concurrent.futures import as_completed
from functools import partial
from pathlib import Path
from queue import Empty, SimpleQueue
from threading import Event, Lock
from typing import Any

import attrs
import httpx

from vllmd.pulling.cache import ModelCache
from vllmd.pulling.download import digest_of, fetch
from vllmd.pulling.owner import as_owner
from vllmd.pulling.repository import TIMEOUT_S, Hub, PullError, RemoteFile, Repository
from vllmd.pulling.selection import READ, other_weights, select, weights
from vllmd.util.threads import Threads

AT_ONCE = 4
CLOSE_S = 1.0
"""How long the end of a pull that is given up waits for what came to be written."""


@attrs.frozen
class Pulled:
    """What a pull brought. Sizes are bytes."""

    model: str
    revision: str
    commit: str
    folder: Path
    files: int
    bytes: int
    downloaded_bytes: int
    weights: int
    """How many of the files are weights: with none no engine can serve it."""
    replaced: tuple[str, ...] = ()
    """Files that were here and were not what the hub says, and came anew."""


@attrs.frozen
class Progress:
    """How far a pull has come, in bytes."""

    done: int
    total: int


@attrs.define
class _Count:
    """Bytes that are here, counted by several threads."""

    total: int
    report: Callable[[Progress], None]
    done: int = 0
    downloaded: int = 0
    stopped: Event = attrs.field(factory=Event)
    lock: Any = attrs.field(factory=Lock)

    def came(self, count: int) -> None:
        if self.stopped.is_set():
            raise PullError("another file could not be had")
        with self.lock:
            self.done += count
            self.downloaded += max(0, count)
            self.report(Progress(self.done, self.total))


def pull(
    model: str,
    revision: str,
    env: Mapping[str, str],
    hub_cache: Path,
    *,
    token: str | None = None,
    report: Callable[[Progress], None] = lambda _: None,
    pause: Callable[[float], Any] | None = None,
    verify: bool = False,
) -> Pulled:
    """Bring a model into the hub's cache; what is there already is not asked for again.

    With `verify` what is there is held against the hub's hashes too, and comes anew if it differs.
    `env` has HF_ENDPOINT and what httpx reads of proxies. An interrupt ends it within CLOSE_S, also
    while a name is looked up or a hub does not answer. Raises: PullError: it cannot be had.
    """
    threads = Threads(close_s=CLOSE_S)
    with httpx.Client(timeout=TIMEOUT_S) as client:
        hub = Hub(client, env, token)
        # aside: a signal does not end the lookup of a name
        repository = threads.submit(hub.look_up, model, revision).result()
        files = _chosen(hub, repository, model, revision)
        # not the name that the hub has for it by now: whoever reads the cache looks for this one
        cache = ModelCache(hub_cache, model)
        with as_owner(hub_cache):
            replaced = _remove_damaged(cache, files) if verify else ()
            cache.refuse_without_room(files)
            count = _Count(sum(file.size for file in files), report)
            count.done = sum(map(cache.bytes_here, files))
            report(Progress(count.done, count.total))
            bring = partial(
                fetch, hub, cache, repository, came=count.came, pause=pause or count.stopped.wait
            )
            missing = [file for file in _unique(files) if not cache.is_whole(file)]
            try:
                _fetch_all(missing, bring, count, hub, threads)
                for file in files:
                    cache.link(repository, file)
                cache.name(repository, revision)
            except OSError as error:
                raise PullError(
                    f"{error.filename or hub_cache}: {error.strerror}; let this user write "
                    "there, or set HF_HOME to a folder of its own"
                ) from None
    folder = cache.snapshot(repository)
    size = count.total
    return Pulled(
        repository.model,
        revision,
        repository.commit,
        folder,
        len(files),
        size,
        count.downloaded,
        len(weights(files)),
        replaced,
    )


def _chosen(hub: Hub, repository: Repository, model: str, revision: str) -> list[RemoteFile]:
    """Return the files to bring. Raises: PullError: there are none, or no weights for vLLM."""
    files = select(repository.files)
    page = f"{hub.endpoint}/{model}"
    if not files:
        raise PullError(f"{model} has no files at {revision!r}; look at {page}")
    other = other_weights(repository.files)
    if other and not weights(files):
        raise PullError(
            f"{model} has no weights that vLLM reads ({READ}), only {', '.join(other)}; look at "
            f"{page} for the model that it was made of"
        )
    return files


def _remove_damaged(cache: ModelCache, files: list[RemoteFile]) -> tuple[str, ...]:
    """Remove files whose content is not what their name says; return them."""
    found = []
    for file in files:
        if cache.is_whole(file) and digest_of(file, cache.blob(file)) != file.name:
            cache.blob(file).unlink()
            found.append(file.path)
    return tuple(found)


def _unique(files: list[RemoteFile]) -> list[RemoteFile]:
    """Return one of those that have the same content: the largest first, as they take longest."""
    found = {file.name: file for file in files}
    return sorted(found.values(), key=lambda file: -file.size)


def _fetch_all(
    files: list[RemoteFile],
    one: Callable[[RemoteFile], None],
    count: _Count,
    hub: Hub,
    threads: Threads,
) -> None:
    """Bring them; the first that fails is told, and ends the others."""
    left: SimpleQueue[RemoteFile] = SimpleQueue()
    for file in files:
        left.put(file)

    def work() -> None:
        with contextlib.suppress(Empty):
            while True:
                one(left.get_nowait())

    try:
        for each in as_completed([threads.submit(work) for _ in files[:AT_ONCE]]):
            each.result()
    except BaseException:
        count.stopped.set()
        hub.cut()  # else a hub that sends nothing would be waited for
        threads.shutdown()
        raise
