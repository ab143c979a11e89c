"""Give this process a title as setproctitle does: over its arguments and its environment."""

import ctypes

ARG_START, ENV_END = 45, 48
"""Where they are, from the state on."""
_PR_SET_NAME = 15


def set_title(title: str) -> None:
    """Overwrite what `ps` shows; `/proc/PID/environ` is lost by it, as it is with vLLM.

    Where it cannot be known what to overwrite (a processor that qemu-user emulates), the short name
    alone is set. Source: proc(5): arg_start, arg_end, env_start and env_end are fields 48 to 51 of
    /proc/self/stat; vLLM's setproctitle takes the place of both areas (seen, 0.32).
    """
    with open("/proc/self/stat", "rb") as file:
        fields = file.read().rpartition(b")")[2].split()
    if len(fields) > ENV_END:
        arg_start, env_end = int(fields[ARG_START]), int(fields[ENV_END])
        room = env_end - arg_start
        data = title.encode()[: room - 1]
        ctypes.memmove(arg_start, data + b"\0" * (room - len(data)), room)
    ctypes.CDLL(None).prctl(_PR_SET_NAME, title.encode()[:15], 0, 0, 0)
