from pathlib import Path

from vllmd.installing import indexes


def conf(folder: Path, text: str) -> dict[str, str]:
    path = folder / "pip.conf"
    path.write_text(text)
    return {"PIP_CONFIG_FILE": str(path), "HOME": str(folder)}


def only_ours(found: dict[str, str]) -> dict[str, str]:
    """Leave out what the machine's own files say."""
    return {k: v for k, v in found.items() if "example" in v}


def test_pip_files_and_variables_become_uvs(tmp_path: Path) -> None:
    text = (
        "[global]\nindex-url = https://a.example/simple\n"
        "extra-index-url =\n    https://b.example/x\n    https://c.example/y\n"
    )
    env = conf(tmp_path, text)
    assert only_ours(indexes.for_uv(env)) == {
        "UV_DEFAULT_INDEX": "https://a.example/simple",
        "UV_INDEX": "https://b.example/x https://c.example/y",
    }
    env["PIP_INDEX_URL"] = "https://d.example/simple"
    assert indexes.for_uv(env)["UV_DEFAULT_INDEX"] == "https://d.example/simple"


def test_what_uv_was_told_counts(tmp_path: Path) -> None:
    env = conf(tmp_path, "[global]\nindex-url = https://a.example/simple\n")
    assert indexes.for_uv({**env, "UV_INDEX": "https://z.example"}) == {}


def test_file_that_cannot_be_read_is_passed_over(tmp_path: Path) -> None:
    assert only_ours(indexes.for_uv(conf(tmp_path, "no section\n"))) == {}
    kept = {**conf(tmp_path, "[global]\ncert = /c.example\n"), "SSL_CERT_FILE": "/own"}
    assert "SSL_CERT_FILE" not in indexes.for_uv(kept)
