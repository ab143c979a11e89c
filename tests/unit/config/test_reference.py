from pathlib import Path

from vllmd.config.load import parse
from vllmd.config.reference import reference

ROOT = Path(__file__).parents[3]


def test_reference_is_what_the_repository_ships() -> None:
    assert (ROOT / "etc" / "vllmd.toml").read_text() == reference(), "run 'make generate'"


def test_reference_with_every_key_taken_in_is_a_good_configuration() -> None:
    lines = reference().splitlines()
    active = [
        line.removeprefix("# ")
        for line in lines
        if line.startswith("# [") or (" = " in line.split("  ")[0] and line.startswith("# "))
    ]
    source = "\n".join(["[daemon]", *active]).replace("null", "[]")
    before, _, group = source.partition("[engines.chat.group]\n")
    source = before + group[group.index("\n[") :]  # it is for its hosts, and for no other table
    keys = [line for line in source.splitlines() if "served_model_name" in line]
    assert keys == ['served_model_name = "chat"']
    config, _ = parse(_only_toml(source))
    assert config.engines["chat"].lora is not None
    assert config.engines["chat"].restart.max_s == 300


def _only_toml(source: str) -> str:
    """Leave out prose that happens to have an equals sign."""
    kept = []
    for line in source.splitlines():
        key = line.split(" = ")[0]
        if line.startswith("[") or key.replace("_", "").isalnum():
            kept.append(line)
    return "\n".join(kept)
