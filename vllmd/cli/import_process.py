"""A vLLM that runs, as what was launched: its command, its variables and its folder."""

import os
from collections.abc import Iterator

import attrs
import psutil

from vllmd.errors import VllmdError
from vllmd.importing.launch import Launch
from vllmd.importing.serving import serving
from vllmd.importing.surroundings import Notes, join
from vllmd.importing.unknown import Place
from vllmd.importing.variables import kept

WHAT_TO_DO = "'pgrep -af vllm' lists those that run; root may read all of them"


def launch_of(pid: int, notes: Notes) -> Launch:
    """Return what a process was launched as.

    Raises: VllmdError: there is none, it is no server of vLLM, or it is in a container.
    """
    try:
        process = psutil.Process(pid)
        words = process.cmdline()
        variables = process.environ()
        folder = process.cwd()
        root = os.readlink(f"/proc/{pid}/root")
    except psutil.NoSuchProcess:
        raise VllmdError(f"there is no process {pid}: {WHAT_TO_DO}") from None
    except (psutil.AccessDenied, OSError):
        raise VllmdError(f"process {pid} may not be read: {WHAT_TO_DO}") from None
    found = serving(words)
    if found is None:
        raise VllmdError(
            f"process {pid} is no server of vLLM (it is {words[0] if words else 'ending'}): give "
            f"the one that has 'vllm serve' in its command: {WHAT_TO_DO}"
        )
    if root != "/" or _other_root(pid):
        notes.refuse(
            Place(f"process {pid}", 1),
            "it runs in a container, whose paths are not the host's: import the 'docker run' line, "
            "or the compose file, that started it",
        )
    taken, said = kept(variables, known_only=True)
    program = found.program
    if "/" in program[0] and not program[0].startswith("/"):
        program = (join(folder, program[0]), *program[1:])
    return Launch(
        program=program,
        arguments=found.arguments,
        ran=tuple(words),
        variables={n: v for n, v in taken.items() if not n.startswith(_OF_LOGIN)},
        place=Place(f"process {pid}", 1),
        folder=folder,
        remarks=tuple(each for each in said if not each.startswith("left out: PATH=")),
    )


_OF_LOGIN = ("LANG", "XDG_SESSION", "XDG_RUNTIME", "XDG_DATA", "XDG_SEAT", "XDG_VTNR", "LC_")
"""What a login sets, and no library of vLLM's reads."""


def _other_root(pid: int) -> bool:
    try:
        return os.stat(f"/proc/{pid}/root").st_ino != os.stat("/").st_ino or (
            os.readlink(f"/proc/{pid}/ns/mnt") != os.readlink("/proc/self/ns/mnt")
            and os.stat(f"/proc/{pid}/root").st_dev != os.stat("/").st_dev
        )
    except OSError:
        return False


@attrs.frozen
class Running:
    """A server of vLLM that runs on this host."""

    pid: int
    arguments: tuple[str, ...]
    variables: dict[str, str] = attrs.field(repr=False)


def running() -> Iterator[Running]:
    """Yield the servers of vLLM that run on this host and may be read."""
    for process in psutil.process_iter():
        try:
            found = serving(process.cmdline())
            if found is not None:
                yield Running(process.pid, found.arguments, process.environ())
        except (psutil.Error, OSError):
            continue
