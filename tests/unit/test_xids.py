import pytest

from vllmd.engine.causes import BY_NAME
from vllmd.xids import XIDS, KernelXid, XidAction, describe, marks, parse_kernel_line, parse_pci


def test_every_xid_says_something_and_its_own_number() -> None:
    assert all(xid.code == code and xid.text for code, xid in XIDS.items())


def test_causes_have_the_marks_of_what_they_are_about() -> None:
    gpu_fault, cuda_error = BY_NAME["gpu_fault"], BY_NAME["cuda_error"]
    assert "xid_79" in gpu_fault.marks
    assert "xid_31" in cuda_error.marks
    assert not marks(XidAction.NONE) & (gpu_fault.marks | cuda_error.marks)


def test_xid_that_is_not_known_asks_for_nothing() -> None:
    assert describe(4711).action is XidAction.NONE


@pytest.mark.parametrize(
    ("line", "code", "text"),
    [
        (
            "NVRM: Xid (PCI:0000:00:06): 79, pid=1234, name=python, GPU has fallen off the bus.",
            79,
            "pid=1234, name=python, GPU has fallen off the bus.",
        ),
        ("[  12.3] NVRM: Xid (PCI:0000:00:06): 31, pid='<unknown>', name=<unknown>", 31, None),
        ("NVRM: Xid (0000:00:06): 48", 48, ""),
        (
            "NVRM: Xid (PCI:0000:00:06): 154, GPU recovery action changed from 0x0 (None) to 0x1"
            " (GPU Reset Required)",
            154,
            None,
        ),
    ],
)
def test_parse_kernel_line_of_an_xid(line: str, code: int, text: str | None) -> None:
    found = parse_kernel_line(line)
    assert found is not None
    assert (found.pci, found.code) == ((0, 0, 6), code)
    assert text is None or found.text == text


@pytest.mark.parametrize(
    "line",
    [
        "NVRM: loading NVIDIA UNIX Open Kernel Module for x86_64  580.159.04",
        "NVRM: Xid (PCI:0000:00:06): 154, GPU recovery action changed from 0x1 (GPU Reset Required)"
        " to 0x0 (None)",
        "NVRM: Xid (PCI:nonsense): 79",
        "usb 1-1: new device",
    ],
)
def test_parse_kernel_line_of_anything_else(line: str) -> None:
    assert parse_kernel_line(line) is None


def test_parse_pci_long_and_short_are_one() -> None:
    assert parse_pci("00000000:00:06.0") == parse_pci("0000:00:06") == (0, 0, 6)
    assert parse_pci("GPU-1") is None
    assert isinstance(parse_kernel_line("NVRM: Xid (PCI:0000:00:06): 79"), KernelXid)
