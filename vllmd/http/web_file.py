"""The web configuration as it is now: looked at for each connection, read again when it changed."""

import contextlib
import math
import os
import ssl
import stat
from collections.abc import Iterable, Iterator
from pathlib import Path

import attrs
import structlog

from vllmd.config.problem import ConfigProblem, InvalidConfigError, ProblemSeverity
from vllmd.events.base import emit
from vllmd.events.daemon import ConfigWarned, WebConfigRefused, WebConfigReloaded
from vllmd.http import tls
from vllmd.http.web_config import WebConfig, parse
from vllmd.shim.files import read_regular
from vllmd.util.clock import Clock
from vllmd.util.deadline import call_within

_log = structlog.get_logger()

MAX_FILE_BYTES = 64 * 1024
"""As much as is parsed within a second; a file with a chain of certificates has a tenth of it."""
LOOK_EVERY_S = 0.1
LOOK_S, READ_S = 0.5, 2.0
"""How long a look, and reading, may take: a file system that hangs must hold nobody up."""

_Mark = tuple[int, int, int, int, int] | None
"""Device, inode, size and times of a file, of content and status; None where there is none."""


@attrs.frozen
class LoadedWebConfig:
    """A web configuration that can be used."""

    config: WebConfig
    context: ssl.SSLContext | None = None
    """With what connections are taken; None for plain HTTP."""
    warnings: tuple[ConfigProblem, ...] = ()
    files: tuple[Path, ...] = ()
    """What was read for it, besides the file itself."""


def load(path: Path) -> LoadedWebConfig:
    """Read the file and all that it names.

    Raises: InvalidConfigError: with all mistakes of the file, or the first of the others.
    """
    place = str(path)
    try:
        text = read_regular(path, MAX_FILE_BYTES).decode()
    except OSError as error:
        fix = f"create it, or let this user read it (uid {os.geteuid()})"
        problem = ConfigProblem(f"cannot be read: {error.strerror}", fix)
        raise InvalidConfigError(place, [problem]) from None
    except UnicodeDecodeError as error:
        problem = ConfigProblem(f"is not UTF-8 at byte {error.start}", "save it as UTF-8")
        raise InvalidConfigError(place, [problem]) from None
    config, warnings = parse(text, place)
    warnings += _open_secrets(path, config)
    if config.tls is None:
        return LoadedWebConfig(config, warnings=tuple(warnings))
    files = tuple(path.parent / name for name in config.tls.files)
    try:
        context = tls.server_context(config.tls, path.parent)
    except tls.TlsError as error:
        raise _UnusableError(place, [error.problem], files) from None
    return LoadedWebConfig(config, context, tuple(warnings), files)


def _open_secrets(path: Path, config: WebConfig) -> Iterator[ConfigProblem]:
    """Yield files with secrets that every user of the host may read."""
    tls_server = config.tls
    secrets = [(path, "")] if config.users or (tls_server and tls_server.key) else []
    if tls_server and tls_server.key_file:
        secrets.append((path.parent / tls_server.key_file, "tls_server_config.key_file"))
    for file, key in secrets:
        with contextlib.suppress(OSError):
            if file.stat().st_mode & stat.S_IROTH:
                yield ConfigProblem(
                    f"{file} has secrets, and every user of this host may read it",
                    f"chgrp vllmd {file}; chmod 640 {file}",
                    key,
                    severity=ProblemSeverity.WARNING,
                )


class _UnusableError(InvalidConfigError):
    """The file is right, and what it names is not: `files` are worth another look."""

    def __init__(self, path: str, problems: list[ConfigProblem], files: tuple[Path, ...]) -> None:
        self.files = files
        super().__init__(path, problems)


class WebFile:
    """Keeps what was last read well; a file that cannot be used changes nothing, and is said."""

    def __init__(self, path: Path, clock: Clock) -> None:
        self.path = path
        self.problem: str | None = None
        """Why the file could not be used when it was last read; None if it could."""
        self.succeeded_at: float | None = None
        """When it was last read well, in seconds since the epoch."""
        self._clock = clock
        self._loaded: LoadedWebConfig | None = None
        self._marks: dict[Path, _Mark] = {}
        self._looked_at = -math.inf

    def current(self) -> LoadedWebConfig | None:
        """Return what holds now; None as long as the file never could be used."""
        now = self._clock.monotonic()
        if now - self._looked_at >= LOOK_EVERY_S:
            self._looked_at = now
            self._look()
        return self._loaded

    def context(self) -> ssl.SSLContext | None:
        """Return with what the next connection is to be taken; None for plain HTTP."""
        loaded = self.current()
        return loaded.context if loaded else None

    def _look(self) -> None:
        place, marks = str(self.path), self._marks
        try:
            if not marks or call_within(place, lambda: _marks(marks), LOOK_S) != marks:
                self._read()
        except TimeoutError as error:
            self._not_read(str(error.strerror), "put it on a disk of this host")
        except OSError as error:  # no thread is to be had
            self._not_read(str(error.strerror), "let this user have more processes")

    def _not_read(self, reason: str, fix: str) -> None:
        self._marks = {}  # once there is an answer, all of it is read
        problem = ConfigProblem(f"cannot be read: {reason}", fix)
        self._refuse(InvalidConfigError(str(self.path), [problem]))

    def _read(self) -> None:
        known = self._loaded.files if self._loaded else ()

        def read() -> tuple[dict[Path, _Mark], LoadedWebConfig | InvalidConfigError]:
            before = _marks((self.path, *known))
            try:
                loaded = load(self.path)
            except InvalidConfigError as error:
                named = error.files if isinstance(error, _UnusableError) else ()
                return {**_marks(named), **before}, error
            return {**_marks(loaded.files), **before}, loaded

        self._marks, loaded = call_within(str(self.path), read, READ_S)
        if isinstance(loaded, InvalidConfigError):
            self._refuse(loaded)
            return
        again, self._loaded = self._loaded is not None, loaded
        self.problem, self.succeeded_at = None, self._clock.time()
        for warning in loaded.warnings:
            emit(_log, ConfigWarned(problem=warning.format(str(self.path))))
        if again:
            emit(_log, WebConfigReloaded(file=str(self.path)))

    def _refuse(self, error: InvalidConfigError) -> None:
        first = error.problems[0].format(str(self.path))
        more = f" (and {len(error.problems) - 1} more)" if len(error.problems) > 1 else ""
        kept = "what was read before still holds" if self._loaded else "all requests are refused"
        problem = f"the web configuration cannot be used, {kept}: {first}{more}"
        if problem != self.problem:
            self.problem = problem
            emit(_log, WebConfigRefused(problem=problem))


def _marks(paths: Iterable[Path]) -> dict[Path, _Mark]:
    return {path: _mark(path) for path in paths}


def _mark(path: Path) -> _Mark:
    try:
        found = os.stat(path)
    except OSError:
        return None
    times = (found.st_mtime_ns, found.st_ctime_ns)
    return (found.st_dev, found.st_ino, found.st_size, *times)
