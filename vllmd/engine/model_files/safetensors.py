"""The head of a safetensors file: which tensors there are, without reading one.

Source: the format, eight bytes of length, then JSON of ``{name: {dtype, shape, data_offsets}}``.
"""

import os
from collections.abc import Mapping
from pathlib import Path

import attrs

from vllmd.shim.files import open_regular, parse_json
from vllmd.util.units import MIB

MAX_HEADER_BYTES = 100 * MIB
"""Source: the limit of the safetensors library."""


class TensorFileError(ValueError):
    """A file is not whole, or no safetensors file."""


@attrs.frozen
class Tensor:
    """One tensor's element type (``BF16``) and its sizes, outermost first."""

    dtype: str
    shape: tuple[int, ...]


def read_header(path: Path) -> Mapping[str, Tensor]:
    """Return the tensors of a file by name.

    Raises: TensorFileError: it is cut short or something else; OSError: it cannot be read.
    """
    with open_regular(path) as file:
        size = os.fstat(file.fileno()).st_size
        length = int.from_bytes(file.read(8), "little")
        if size < 8 or length > MAX_HEADER_BYTES:
            raise TensorFileError(f"{path} is no safetensors file")
        if size < 8 + length:
            raise TensorFileError(f"{path} is not whole: {size} bytes")
        text = file.read(length)
    try:
        entries = parse_json(text)
        tensors = {
            name: Tensor(str(entry["dtype"]), tuple(int(n) for n in entry["shape"]))
            for name, entry in entries.items()
            if name != "__metadata__"
        }
        ends = [int(e["data_offsets"][1]) for n, e in entries.items() if n != "__metadata__"]
    except (ValueError, KeyError, TypeError, AttributeError, IndexError) as error:
        raise TensorFileError(f"{path} is no safetensors file: {error!r}") from None
    expected = 8 + length + max(ends, default=0)
    if size < expected:
        raise TensorFileError(f"{path} is not whole: {size} of {expected} bytes")
    return tensors
