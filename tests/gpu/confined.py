"""Run a program with the rights of a unit of ours, without systemd: ``confined.py UNIT PROGRAM …``.

As packaging/systemd has it: no new privileges, no capabilities, the user of a service, the system
calls of the unit and EPERM for all others, and for the daemon no memory that is written and run.
Source: prctl(2), seccomp(2); the list is systemd 252's (`systemd-analyze syscall-filter`).
"""

import ctypes
import json
import os
import struct
import sys
from pathlib import Path

LIST = Path(__file__).parents[1] / "data" / "hardening" / "engine-syscalls.json"
ONLY_ENGINE = {"pidfd_getfd"}
PR_CAPBSET_DROP, PR_SET_SECCOMP, PR_SET_NO_NEW_PRIVS, PR_SET_MDWE = 24, 22, 38, 65
SECCOMP_MODE_FILTER, MDWE_REFUSE_EXEC_GAIN = 2, 1
ALLOW, EPERM, KILL = 0x7FFF0000, 0x00050001, 0x80000000
AUDIT_ARCH_X86_64 = 0xC000003E
LOAD, EQUAL, RETURN = 0x20, 0x15, 0x06
LAST_CAPABILITY = 40
NOBODY = 65534


def main(unit: str, program: list[str]) -> None:
    """Give up the rights, then become the program."""
    libc = ctypes.CDLL(None, use_errno=True)
    known = json.loads(LIST.read_text())
    if unit == "daemon":
        known = {name: number for name, number in known.items() if name not in ONLY_ENGINE}
    for capability in range(LAST_CAPABILITY + 1):
        libc.prctl(PR_CAPBSET_DROP, capability, 0, 0, 0)
    os.setgroups([])
    os.setgid(NOBODY)
    os.setuid(NOBODY)
    _must(libc, PR_SET_NO_NEW_PRIVS, 1, 0)
    if unit == "daemon":
        _must(libc, PR_SET_MDWE, MDWE_REFUSE_EXEC_GAIN, 0)
    _filter(libc, sorted(known.values()))
    os.execvp(program[0], program)


def _filter(libc: ctypes.CDLL, numbers: list[int]) -> None:
    code = [
        (LOAD, 0, 0, 4),
        (EQUAL, 1, 0, AUDIT_ARCH_X86_64),
        (RETURN, 0, 0, KILL),
        (LOAD, 0, 0, 0),
    ]
    for number in numbers:
        code += [(EQUAL, 0, 1, number), (RETURN, 0, 0, ALLOW)]
    code.append((RETURN, 0, 0, EPERM))
    body = b"".join(struct.pack("<HBBI", *line) for line in code)
    lines = ctypes.create_string_buffer(body)
    program = ctypes.create_string_buffer(
        struct.pack("<HxxxxxxQ", len(code), ctypes.addressof(lines))
    )
    _must(libc, PR_SET_SECCOMP, SECCOMP_MODE_FILTER, ctypes.addressof(program))


def _must(libc: ctypes.CDLL, option: int, second: int, third: int) -> None:
    if libc.prctl(option, ctypes.c_ulong(second), ctypes.c_ulong(third), 0, 0) != 0:
        raise OSError(ctypes.get_errno(), f"prctl({option})")


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2:])
