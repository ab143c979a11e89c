"""Lines as vLLM's processes print them, and what is found to be the cause of an end."""

from vllmd.engine.causes import CAUSES
from vllmd.engine.causes.base import Facts
from vllmd.engine.causes.verdict import choose

UP = "(APIServer pid=1) INFO:     Application startup complete."
CORE = "(EngineCore pid=7) ERROR 11-23 19:06:44 [core.py:1231] "
PEER = "(Worker_TP1 pid=9) ERROR 11-23 19:06:45 [m.py:5] "
API = "(APIServer pid=1) ERROR 11-23 19:06:43 "
FATAL = CORE + "EngineCore encountered a fatal error."
OOM = CORE + "torch.OutOfMemoryError: CUDA out of memory. Tried to allocate 2.00 GiB."


def cause_of(label: str, *lines: str) -> str | None:
    found = choose(CAUSES, Facts(label, lines))
    return found.cause if found else None


BLOCKS = "ValueError: No available memory for the cache blocks."
DIRECT = "The above exception was the direct cause of the following exception:"
TRACE = ("Traceback (most recent call last):", '  File "a.py", line 1, in f')


def thrown(*said: str, header: str = "EngineCore failed to start.") -> list[str]:
    """Return a chain of exceptions as the core prints it, the root first."""
    lines = [CORE + header]
    for number, each in enumerate(said):
        between = ("", DIRECT, "") if number else ()
        lines += [CORE + line for line in (*between, *TRACE, each)]
    return lines
