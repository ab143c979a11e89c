"""Which vLLM a program is of, without running it: the members of a group have to be the same."""

from pathlib import Path

_RECORD = "vllm-*.dist-info"


def installed_version(program: str) -> str | None:
    """Return the version of the vLLM beside a program, by its environment's files.

    Raises: OSError: the disk does not answer.
    """
    bin_folder = Path(program).resolve().parent
    for site in sorted(bin_folder.parent.glob("lib/python3*/site-packages")):
        for record in sorted(site.glob(_RECORD)):
            return record.name.removeprefix("vllm-").removesuffix(".dist-info")
    return None
