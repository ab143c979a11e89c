"""Which vLLM a program is of, and which commit a model: members of a group have to be the same."""

from collections.abc import Mapping
from pathlib import Path

from vllmd.config.model import EngineConfig
from vllmd.engine.model_files.base_model import find_folder

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


def model_revision(model: str, env: Mapping[str, str], revision: str = "main") -> str | None:
    """Return the commit that a model's name leads to in the hub's cache; None for a folder.

    Raises: OSError: the disk does not answer.
    """
    folder = find_folder(model, env, revision)
    return folder.name if folder is not None and folder.parent.name == "snapshots" else None


def revision_of(engine: EngineConfig, env: Mapping[str, str]) -> str | None:
    """Return the commit of an engine's model, at the revision that its flags name.

    Raises: OSError: the disk does not answer.
    """
    return model_revision(engine.model, env, str(engine.flags.get("revision") or "main"))
