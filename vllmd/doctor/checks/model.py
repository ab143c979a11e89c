"""The model: whether it is there, whole, and served as it was made to be."""

from collections.abc import Iterator

from vllmd.doctor.case import Case
from vllmd.doctor.finding import Finding, FindingSeverity
from vllmd.doctor.weights import loaded_bytes
from vllmd.shim.files import read_json
from vllmd.util.units import format_bytes

SLOW = {"awq": "awq_marlin", "gptq": "gptq_marlin"}


def model_missing(case: Case) -> Iterator[Finding]:
    """Find a model that is neither a folder nor in the hub's cache."""
    name = case.engine.model
    if case.model.folder is not None or case.engine.is_stand_in:
        return
    if name.startswith(("/", "./", "~")):
        yield Finding(
            "model-missing",
            FindingSeverity.ERROR,
            f"model: there is no folder {name!r}",
            "vLLM takes what is no folder for a name on the hub, and fails there.",
            "Correct the path, or make the folder readable for the user that vllmd runs as; under "
            "systemd, ProtectHome hides /home and /root.",
        )
    elif case.env.get("HF_HUB_OFFLINE") in ("1", "true", "TRUE", "yes"):
        yield Finding(
            "model-missing",
            FindingSeverity.ERROR,
            f"model: {name!r} is not in the hub's cache, and HF_HUB_OFFLINE is set",
            "It cannot be downloaded, so the engine cannot start.",
            f"Download it once: hf download {name}",
        )
    else:
        size = loaded_bytes(case.model.weights, case.model.config)
        yield Finding(
            "model-missing",
            FindingSeverity.INFO,
            f"model: {name!r} is not in the hub's cache yet",
            "The first start downloads it"
            + (f", about {format_bytes(size)}." if size else ", and its size is not known before."),
            f"Download it beforehand: hf download {name}",
        )


def hub(case: Case) -> Iterator[Finding]:
    """Find a hub that is out of reach, and a model that it does not give out."""
    if case.hub is None:
        return
    yield Finding(
        "hub",
        FindingSeverity.ERROR,
        f"model: {case.engine.model!r} is not on this host, and {case.hub}",
        "The engine cannot start without its model.",
        f"{_way_to_hub(case.hub)}; or copy the model here and give its folder.",
    )


def _way_to_hub(problem: str) -> str:
    """Return what mends a problem of `vllmd.doctor.hub`."""
    if "no such model" in problem:
        return "Correct the name"
    if "does not give it out" in problem:
        return (
            "Correct the name, or write to /etc/vllmd/credentials/hf_token a token that has "
            "accepted the model's terms"
        )
    return (
        "Mend the way there (name servers, firewall, HTTPS_PROXY in the engine's env), or name a "
        "mirror with HF_ENDPOINT"
    )


def model_readable(case: Case) -> Iterator[Finding]:
    """Find a folder that is there for who asks, and not for the engine."""
    if case.unreadable is None:
        return
    yield Finding(
        "model-readable",
        FindingSeverity.ERROR,
        f"model: {case.unreadable}",
        "To the engine the model is not there.",
        "Put it where the user may read it, such as /srv/models: chmod -R a+rX FOLDER",
    )


def model_files(case: Case) -> Iterator[Finding]:
    """Find interrupted downloads."""
    for problem in case.model.problems:
        yield Finding(
            "model-files",
            FindingSeverity.ERROR,
            problem,
            "The engine fails in the middle of its load, after minutes for a big model.",
            "Download or copy it again: hf download resumes where it stopped.",
        )


def quantization(case: Case) -> Iterator[Finding]:
    """Find a method that was named, and is not the best for these weights."""
    asked = case.engine.quantization
    stored = (case.model.config.get("quantization_config") or {}).get("quant_method")
    if asked in SLOW:
        yield Finding(
            "quantization",
            FindingSeverity.WARNING,
            f'quantization = "{asked}"',
            f"That is the kernel without Marlin, several times slower; vLLM takes {SLOW[asked]} by "
            "itself where the GPU can, if it is not told otherwise.",
            "Take the line out.",
        )
    elif asked and stored and not asked.startswith(str(stored)):
        yield Finding(
            "quantization",
            FindingSeverity.ERROR,
            f'quantization = "{asked}", and the weights are {stored}',
            "vLLM refuses a method that is not that of the files.",
            "Take the line out: vLLM reads it from config.json.",
        )


def chat_template(case: Case) -> Iterator[Finding]:
    """Find a base model that was not made for chat."""
    folder = case.model.folder
    if folder is None or case.flag("chat-template") or case.model.has("chat_template.jinja"):
        return
    try:
        config = read_json(folder / "tokenizer_config.json")
    except (OSError, ValueError):
        return
    if isinstance(config, dict) and not config.get("chat_template"):
        yield Finding(
            "chat-template",
            FindingSeverity.WARNING,
            f"{folder}/tokenizer_config.json has no chat_template",
            "/v1/chat/completions answers 400 for each request; /v1/completions works.",
            "Take the model's instruct version, or set flags.chat-template to a file.",
        )
