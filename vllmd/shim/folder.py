"""The folder of an engine and its lock: exactly one shim for an engine, whoever started it."""

import fcntl
import os

from vllmd.shim import protocol


class EngineFolder:
    """The folder, and the lock in it that this shim holds as long as it lives."""

    def __init__(self, path: str) -> None:
        """Name the folder; `lock` takes the lock."""
        self.path = path
        self._lock_path = f"{path}/{protocol.LOCK_NAME}"
        self._fd: int | None = None

    def lock(self) -> bool:
        """Take the engine's lock; False if another shim has it.

        Raises: OSError: it cannot be opened.
        """
        fd = _take(self._lock_path)
        if fd is None:
            return False
        self.close()
        self._fd = fd
        return True

    def put_back(self) -> bool:
        """Make the folder and the lock in it again if somebody removed them.

        Returns: whether the folder is this shim's; another may have begun in it meanwhile.
        Raises: OSError: it cannot be made.
        """
        os.makedirs(self.path, mode=0o700, exist_ok=True)
        return self._is_there() or self.lock()

    def close(self) -> None:
        """Give the lock back, if it is held."""
        if self._fd is not None:
            os.close(self._fd)
            self._fd = None

    def _is_there(self) -> bool:
        """Tell whether the lock that is held is the file of that name."""
        if self._fd is None:
            return False
        try:
            return os.path.samestat(os.stat(self._lock_path), os.fstat(self._fd))
        except OSError:
            return False


def _take(path: str) -> int | None:
    fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(fd)
        return None
    return fd
