"""NVIDIA's Xids: what each says, and what it asks for. Pure.

Source: NVIDIA, "XID Errors" (GPU deployment guide), columns cause and resolution bucket.
"""

import enum
import re

import attrs


class XidAction(enum.StrEnum):
    """What has to be done about an Xid, from the least to the most."""

    NONE = "none"
    RESTART = "restart_engine"
    RESET = "reset"
    REBOOT = "reboot"


@attrs.frozen
class Xid:
    """One number, in words."""

    code: int
    text: str
    action: XidAction


def _table(action: XidAction, **texts: str) -> dict[int, Xid]:
    return {int(code[1:]): Xid(int(code[1:]), text, action) for code, text in texts.items()}


XIDS: dict[int, Xid] = {
    **_table(
        XidAction.NONE,
        x45="a process was ended and its work cleaned up, mostly after another error or a kill",
        x63="a row of memory is to be replaced at the next reset",
        x92="many ECC errors were corrected",
        x121="an error on the link to the CPU was corrected",
    ),
    **_table(
        XidAction.RESTART,
        x13="a kernel did what the graphics engine does not allow, mostly a mistake in a program",
        x31="a kernel used memory that is not its own, mostly a mistake in a program",
        x32="a damaged stream of commands",
        x43="the GPU stopped working for one process",
        x69="a kernel gave the graphics engine a wrong class or method",
        x94="an ECC error that could not be corrected was contained: one process lost its memory",
        x137="a program used NVLink memory that is not its own",
    ),
    **_table(
        XidAction.RESET,
        x46="the GPU stopped working",
        x48="a double-bit ECC error",
        x61="a micro-controller of the GPU stopped",
        x62="a micro-controller of the GPU halted",
        x74="an error on NVLink",
        x95="an ECC error that could not be corrected was not contained",
        x109="a switch between contexts took too long",
        x119="the GPU's system processor did not answer",
        x120="an error in the GPU's system processor",
        x140="an ECC error that could not be recovered",
        x143="the GPU could not be initialised",
        x149="an error on NVLink",
        x154="the driver asks for a reset or a reboot of the GPU",
        x155="NVLink is to be reset",
        x158="the GPU ran into a fatal time-out",
    ),
    **_table(
        XidAction.REBOOT,
        x64="a row of memory could not be replaced: the GPU is to be exchanged",
        x79="the GPU has fallen off the bus",
        x110="a security fault",
    ),
}


def describe(code: int) -> Xid:
    """Return what is known of an Xid; one that is not known asks for nothing."""
    return XIDS.get(code) or Xid(code, "an error that vllmd does not know", XidAction.NONE)


def marks(*actions: XidAction) -> frozenset[str]:
    """Return the marks of all Xids that ask for one of these, as a cause names them."""
    return frozenset(f"xid_{xid.code}" for xid in XIDS.values() if xid.action in actions)


@attrs.frozen
class KernelXid:
    """A line of the kernel about an Xid. `pci` is domain, bus and device."""

    pci: tuple[int, int, int]
    code: int
    text: str


_LINE = re.compile(r"NVRM: Xid \((?:PCI:)?([0-9a-fA-F:.]+)\): (\d+)(?:, (.*))?")
_RECOVERED = re.compile(r"GPU recovery action changed from .* to 0x0 ")


def parse_kernel_line(line: str) -> KernelXid | None:
    """Read a line of the kernel's log; None if it tells of no Xid that asks for attention."""
    match = _LINE.search(line)
    pci = parse_pci(match[1]) if match else None
    if match is None or pci is None or _RECOVERED.search(line):
        return None
    return KernelXid(pci, int(match[2]), (match[3] or "").strip())


def parse_pci(text: str) -> tuple[int, int, int] | None:
    """Read a PCI address such as ``0000:00:06`` or ``00000000:00:06.0``; None if it is none."""
    match = re.fullmatch(r"([0-9a-fA-F]+):([0-9a-fA-F]+):([0-9a-fA-F]+)(\.[0-9a-fA-F])?", text)
    return (int(match[1], 16), int(match[2], 16), int(match[3], 16)) if match else None
