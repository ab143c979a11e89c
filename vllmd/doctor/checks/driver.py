"""The driver is older than the CUDA that this vLLM was built for needs."""

from collections.abc import Iterator

from vllmd.doctor.case import Case
from vllmd.doctor.finding import Finding, Severity
from vllmd.installing.host import too_old

ID = "driver"


def check(case: Case) -> Iterator[Finding]:
    """Find a build that the driver cannot run, and one for the CPU where there are GPUs."""
    installed, driver = case.installed, case.host.driver
    if installed is None:
        return
    if installed.cuda is None:
        if case.host.gpus:
            yield Finding(
                ID,
                Severity.WARNING,
                f"vLLM {installed.version} is the build for the CPU, and there are GPUs",
                "They stay idle.",
                "Install the other: vllmd engine install --cuda",
            )
        return
    needed = None if driver is None else too_old(driver, installed.cuda)
    if needed is not None:
        yield Finding(
            ID,
            Severity.ERROR,
            f"driver {driver}, and vLLM {installed.version} is built for CUDA {installed.cuda}",
            f"CUDA {installed.cuda} needs driver {needed} or newer: no GPU would be found.",
            "Update the driver, or install a vLLM for an older CUDA (--torch-backend).",
        )
    elif driver is None and not case.host.gpus:
        yield Finding(
            ID,
            Severity.ERROR,
            f"no NVIDIA driver is loaded, and vLLM {installed.version} is the build for CUDA",
            "It ends at its start: it finds no device.",
            "Load the driver (nvidia-smi says what is wrong), or: vllmd engine install --cpu",
        )
