"""The model has no chat template."""

from collections.abc import Iterator

from vllmd.doctor.case import Case
from vllmd.doctor.finding import Finding, Severity
from vllmd.shim.files import read_json

ID = "chat-template"


def check(case: Case) -> Iterator[Finding]:
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
            ID,
            Severity.WARNING,
            f"{folder}/tokenizer_config.json has no chat_template",
            "/v1/chat/completions answers 400 for each request; /v1/completions works.",
            "Take the model's instruct version, or set flags.chat-template to a file.",
        )
