"""The model is not on this host."""

from collections.abc import Iterator

from vllmd.doctor.case import Case
from vllmd.doctor.finding import Finding, Severity

ID = "model-missing"


def check(case: Case) -> Iterator[Finding]:
    """Find a model that is neither a folder nor in the hub's cache."""
    name = case.engine.model
    if case.model.folder is not None or case.engine.is_stand_in:
        return
    if name.startswith(("/", "./", "~")):
        yield Finding(
            ID,
            Severity.ERROR,
            f"model: there is no folder {name!r}",
            "vLLM takes what is no folder for a name on the hub, and fails there.",
            "Correct the path, or make the folder readable for the user that vllmd runs as; under "
            "systemd, ProtectHome hides /home and /root.",
        )
    elif case.env.get("HF_HUB_OFFLINE") in ("1", "true", "TRUE", "yes"):
        yield Finding(
            ID,
            Severity.ERROR,
            f"model: {name!r} is not in the hub's cache, and HF_HUB_OFFLINE is set",
            "It cannot be downloaded, so the engine cannot start.",
            f"Download it once: hf download {name}",
        )
    else:
        yield Finding(
            ID,
            Severity.INFO,
            f"model: {name!r} is not in the hub's cache yet",
            "The first start downloads it, and its size is not known before.",
            f"Download it beforehand: hf download {name}",
        )
