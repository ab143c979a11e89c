"""What a source of GPU readings tells the daemon: one JSON object a line, on its standard output.

`kind` says which:

- `hello`: `source` (`nvml` or `demo`), `driver`, `nvml`, `cuda`, `library` (the file that is
  loaded), `pid`.
- `devices`: `devices`, a list of `DeviceRecord`: sent first, and again when it has changed.
- `fast`, `slow`, `once`: `at` (seconds since the epoch), `values` (by UUID, by `Row.key`), `lost`
  (by UUID, why), `errors` (counts so far, by NVML's number), `took_s`, `cpu_s` (of the source's
  process so far), `rss` (bytes).
- `processes`: `at`, `took_s`, `devices`: by UUID, `memory` (`total`, `free`, `used`, `reserved`, in
  bytes) and `processes` (a list of `[pid, bytes or null]`).
- `xid`: `at`, `uuid`, `code`.
- `mistake`: `text`: something in the source failed, and is tried again; it goes on.
- `problem`: `reason` (one of `REASONS`), `text`: the source ends after it.

Each has `v`, the version of this language; of another one nothing is taken.

On its standard input it takes words, a line each: `processes` (list them now), `pace SET SECONDS`
(how often `processes` or another set is read). It ends when that is closed. An unknown key or kind
is ignored.
"""

import json
from typing import Any, NotRequired, TypedDict

VERSION = 1

REASONS = (
    "starting",
    "no_library",
    "no_driver",
    "no_gpu",
    "no_permission",
    "driver_mismatch",
    "devices_changed",
    "uninitialized",
    "nvml_error",
    "hung",
    "died",
    "released",
    "disabled",
)
"""Why there are no readings: from `no_library` to `nvml_error` a source says it, the rest we do."""


class DeviceRecord(TypedDict):
    """One GPU, or one instance of a GPU that is divided (MIG)."""

    uuid: str
    index: int
    name: str
    pci_bus_id: str
    parent: NotRequired[str]
    """The UUID of the GPU that an instance is a part of."""
    gpu_instance: NotRequired[int]
    compute_instance: NotRequired[int]
    unified: NotRequired[bool]
    """Its memory is the host's: NVML tells none of its own."""


def encode(kind: str, **content: Any) -> bytes:
    """Return a message as it is sent."""
    return json.dumps({"v": VERSION, "kind": kind, **content}, separators=(",", ":")).encode() + (
        b"\n"
    )


def decode(line: bytes) -> dict[str, Any]:
    """Read a message.

    Raises: ValueError: it is none, or one of another version.
    """
    try:
        message = json.loads(line)
    except RecursionError:
        raise ValueError(f"too deep: {line[:80]!r}") from None
    if not isinstance(message, dict) or not isinstance(message.get("kind"), str):
        raise ValueError(f"no message: {line[:80]!r}")
    if message.get("v") != VERSION:
        raise ValueError(
            f"it speaks version {message.get('v')!r}, this daemon {VERSION}: vllmd was replaced "
            "while it ran; 'systemctl restart vllmd-daemon' (engines serve on)"
        )
    return message
