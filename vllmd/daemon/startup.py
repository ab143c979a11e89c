"""What the daemon needs before it can begin: its folders, its lock, open files."""

import contextlib
import fcntl
import functools
import os
import resource
from pathlib import Path

from vllmd.config import paths
from vllmd.config.model import Config, DaemonConfig
from vllmd.errors import ConfigError, DaemonRunningError, VllmdError
from vllmd.util.deadline import call_within

LOCK_NAME = "daemon.lock"
OPEN_FILES = 65_536


def make_directories(config: Config) -> None:
    """Make the folders that are missing; one whose disk hangs is taken to be there.

    Raises: VllmdError: one cannot be made.
    """
    run = paths.run_dir(config)
    try:
        run.mkdir(mode=0o755, parents=True, exist_ok=True)
        for name in ("engines", "weights"):
            (run / name).mkdir(mode=0o700, exist_ok=True)
        for folder in (paths.state_dir(config), paths.log_dir(config)):
            with contextlib.suppress(TimeoutError):  # it hangs: what runs is looked after
                call_within(str(folder), functools.partial(_make, folder))
    except OSError as error:
        raise VllmdError(
            f"cannot make {error.filename}: {error.strerror}; set daemon.run_dir, state_dir "
            "and log_dir to folders that this user may write to, or run as root"
        ) from None


def _make(folder: Path) -> None:
    folder.mkdir(mode=0o750, parents=True, exist_ok=True)


def take_lock(run: Path) -> int:
    """Take the run directory for this daemon, as long as the returned file stays open.

    Raises: DaemonRunningError: another daemon has it.
    """
    fd = os.open(run / LOCK_NAME, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        pid = os.read(fd, 32).decode(errors="replace").strip() or "unknown"
        os.close(fd)
        raise DaemonRunningError(
            f"a daemon (pid {pid}) already runs on {run}; "
            "stop it, or set daemon.run_dir to another folder"
        ) from None
    with contextlib.suppress(OSError):  # a full disk: the next daemon cannot name this one then
        os.truncate(fd, 0)
        os.write(fd, f"{os.getpid()}\n".encode())
    return fd


def raise_open_files() -> None:
    """Raise this process's soft limit of open files as far as its hard limit allows.

    Connections of clients are descriptors, and so are shims and files. Engines that the daemon
    starts itself inherit the limit; vLLM raises its own as far at its start (`set_ulimit`), so that
    no program that uses select() loses by it.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = OPEN_FILES if hard == resource.RLIM_INFINITY else min(OPEN_FILES, hard)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        with contextlib.suppress(
            OSError, ValueError
        ):  # a container may forbid it: bounds are lower
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


def refuse_other_place(now: DaemonConfig, new: DaemonConfig) -> None:
    """Refuse settings that a running daemon cannot move to: it would lose its engines or its port.

    Raises: ConfigError: naming the first of them.
    """
    for name in ("listen", "run_dir", "state_dir", "log_dir"):
        if (value := getattr(new, name)) != getattr(now, name):
            raise ConfigError(
                f"daemon.{name} is now {value!r}: a reload cannot change that; restart the daemon "
                "('systemctl restart vllmd-daemon' leaves the engines serving), or change it back"
            )
