"""Where engines lie, and what is known of each.

::

    <prefix>/0.32.0/                an environment with bin/vllm, in the place it was built for
    <prefix>/0.32.0/.incomplete     only while it is being built
    <prefix>/current, previous      links: what is served from, and what was before
    <prefix>/.records/0.32.0.json   what it is; beside it .lock.txt, .flags.json and .log
"""

import contextlib
import fcntl
import os
import re
import shutil
from collections.abc import Iterator
from pathlib import Path

import attrs

from vllmd.errors import NotPermittedError, UnknownEngineError, VllmdError
from vllmd.shim import proc
from vllmd.shim.record import read_record, write_record

MARKER = ".incomplete"
RECORDS = ".records"
_REMOVED = ".removed-"
NAME = re.compile(r"[0-9][A-Za-z0-9.+_-]{0,63}")


@attrs.frozen
class InstallRecord:
    """What one installed engine is; versions are as the distributions say them."""

    name: str
    version: str
    torch: str
    cuda: str | None
    """The CUDA that its PyTorch was built for; None: it computes on the CPU."""
    python: str
    program: str
    """The path of its `vllm`."""
    installed_at: float
    adopted: bool = False
    """It was made by somebody else, and only linked."""

    @property
    def build(self) -> str:
        """What it computes on, in words."""
        return f"CUDA {self.cuda}" if self.cuda else "CPU"


@attrs.frozen
class InstalledEngines:
    """The engines below one folder."""

    prefix: Path

    def folder(self, name: str) -> Path:
        """Return where an engine lies, or is going to."""
        return self.prefix / name

    def beside(self, name: str, suffix: str) -> Path:
        """Return a file that is kept about an engine."""
        return self.prefix / RECORDS / f"{name}{suffix}"

    def names(self) -> list[str]:
        """Return all that are there, complete or not, the newest version last."""
        try:
            entries = [entry.name for entry in os.scandir(self.prefix) if entry.is_dir()]
        except FileNotFoundError:
            return []
        except OSError as error:
            kind = NotPermittedError if isinstance(error, PermissionError) else VllmdError
            raise kind(f"cannot read {self.prefix}: {error.strerror}") from None
        return sorted((name for name in entries if NAME.fullmatch(name)), key=_by_version)

    def complete(self, name: str) -> bool:
        """Tell whether an engine was built to its end."""
        folder = self.folder(name)
        return (folder / "bin" / "vllm").exists() and not (folder / MARKER).exists()

    def record(self, name: str) -> InstallRecord | None:
        """Return what is known of an engine; None if nothing is."""
        read = read_record(str(self.beside(name, ".json")))
        try:
            return InstallRecord(**read) if read else None
        except TypeError:  # written by another vllmd
            return None

    def write(self, record: InstallRecord) -> None:
        """Keep what is known of an engine."""
        with _writing(self.prefix):
            path = self.beside(record.name, ".json")
            path.parent.mkdir(parents=True, exist_ok=True)
            write_record(str(path), attrs.asdict(record))
            path.chmod(0o644)

    def linked(self, link: str) -> str | None:
        """Return the name that `current` or `previous` leads to; None if it leads nowhere."""
        try:
            name = os.readlink(self.prefix / link)
        except OSError:
            return None
        return name if self.folder(name).is_dir() else None

    @property
    def current(self) -> str | None:
        """The engine that is served from."""
        return self.linked("current")

    @property
    def previous(self) -> str | None:
        """The engine that was served from before."""
        return self.linked("previous")

    def known(self, name: str) -> str:
        """Return a name that is there; a version alone is enough where it is the only one.

        Raises: UnknownEngineError: there is none, or there are several.
        """
        names = self.names()
        if name in names:
            return name
        alike = [each for each in names if each.split("+")[0] == name]
        if len(alike) == 1:
            return alike[0]
        there = ", ".join(alike or names) or "none"
        raise UnknownEngineError(f"no engine {name!r} in {self.prefix}; there is: {there}")

    def use(self, name: str) -> None:
        """Make an engine the current one, in one step that is done or not.

        Raises: VllmdError: it is not complete, or the folder cannot be written.
        """
        if not self.complete(name):
            raise VllmdError(
                f"{self.folder(name)} is not complete: 'vllmd engine install {name}' goes on with "
                "it"
            )
        old = self.current
        if old == name:
            return
        if old is not None:  # first: a loss of power between the two leaves what serves as it is
            self._link("previous", old)
        self._link("current", name)

    def rollback(self) -> tuple[str | None, str]:
        """Go back to what was current before; doing it twice changes nothing.

        Returns: the names from and to.
        Raises: VllmdError: there is nothing to go back to.
        """
        old, new = self.current, self.previous
        if new is None or new == old:
            raise VllmdError(f"nothing was current in {self.prefix} before {old or 'now'}")
        self.use(new)
        return old, new

    def remove(self, name: str) -> None:
        """Remove an engine; one that was adopted is only forgotten.

        Raises: VllmdError: it is the current one, a process uses it (one that was adopted loses
            nothing), or the disk refuses.
        """
        folder = self.folder(name)
        if name == self.current:
            raise VllmdError(f"{name} is the current engine: 'vllmd engine use' another first")
        users = [] if folder.is_symlink() else list(running_from(folder))
        if users:
            pids = ", ".join(str(pid) for pid in users)
            raise VllmdError(f"{name} is in use (pid {pids}): stop or restart that engine first")
        with _writing(self.prefix):
            if folder.is_symlink():
                folder.unlink()
            else:
                doomed = self.prefix / f"{_REMOVED}{name}"
                folder.rename(doomed)  # from here on it is no engine, whatever happens
                shutil.rmtree(doomed)
            if self.linked("previous") is None:
                (self.prefix / "previous").unlink(missing_ok=True)
            for suffix in (".json", ".lock.txt", ".flags.json", ".log"):
                self.beside(name, suffix).unlink(missing_ok=True)

    def tidy(self) -> None:
        """Remove what an interrupted removal left."""
        for doomed in self.prefix.glob(f"{_REMOVED}*"):
            shutil.rmtree(doomed, ignore_errors=True)

    @contextlib.contextmanager
    def locked(self) -> Iterator[None]:
        """Hold the folder, so that two installations do not meet; what is made there all may read.

        Raises: VllmdError: somebody else holds it, or it cannot be written.
        """
        strict = os.umask(0o022)  # the service's user is to read what root installs
        try:
            with _writing(self.prefix):
                self.prefix.mkdir(parents=True, exist_ok=True)
                flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC
                descriptor = os.open(self.prefix / ".lock", flags, 0o644)
            try:
                self._take(descriptor)
                self.tidy()
                yield
            finally:
                os.close(descriptor)
        finally:
            os.umask(strict)

    def _take(self, descriptor: int) -> None:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise VllmdError(
                f"another 'vllmd engine' works in {self.prefix}: wait for it to end"
            ) from None

    def _link(self, link: str, name: str) -> None:
        fresh = self.prefix / f".{link}.new"
        with _writing(self.prefix):
            fresh.unlink(missing_ok=True)
            fresh.symlink_to(name)
            fresh.replace(self.prefix / link)


@contextlib.contextmanager
def _writing(prefix: Path) -> Iterator[None]:
    try:
        yield
    except PermissionError as error:
        raise NotPermittedError(
            f"cannot write {error.filename}: {error.strerror}; run it as the user that owns "
            f"{prefix}, or give --prefix a folder of your own"
        ) from None
    except OSError as error:
        raise VllmdError(f"cannot write below {prefix}: {error}") from None


def _by_version(name: str) -> tuple[list[tuple[int, str]], str]:
    parts = re.findall(r"\d+|[a-z]+", name)
    return [(int(part), "") if part.isdigit() else (-1, part) for part in parts], name


def running_from(folder: Path) -> Iterator[int]:
    """Yield processes that run from a folder, as far as this user can see.

    By what they have mapped too: a vLLM changes its title, and its program is that of the Python
    that the environment was made with.
    """
    home = f"{folder.resolve()}/"
    for stat in proc.all_processes():
        if home in proc.command_line(stat.pid) or home in _mapped(stat.pid):
            yield stat.pid


def _mapped(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/maps").read_text(errors="replace")
    except OSError:
        return ""
