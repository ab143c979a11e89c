"""The NVIDIA driver does not fit, or is not there."""

from vllmd.engine.causes.base import Cause, Kind

CAUSE = Cause(
    name="driver_mismatch",
    kind=Kind.DRIVER,
    explanation=(
        "The NVIDIA driver is missing, too old for this vLLM, or was changed while it was loaded."
    ),
    advice="Install a fitting driver; after a driver upgrade, reboot.",
    signatures=(
        r"driver version is insufficient",
        r"Driver/library version mismatch",
        r"Found no NVIDIA driver",
        r"driver on your system is too old",
        r"Error 803: system has unsupported",
    ),
)
