from pathlib import Path

from tests.helpers.make import engine
from vllmd.config import command
from vllmd.probe.model_files import ModelFiles


def made(folder: Path, **files: str) -> Path:
    folder.mkdir(exist_ok=True)
    for name, text in files.items():
        (folder / name.replace("_", ".")).write_text(text)
    return folder


async def digest(folder: Path, text: str = "") -> str | None:
    found = engine(text, model=str(folder))
    return await ModelFiles().digest(found, command.build(found))


async def test_other_bytes_are_another_model_and_a_copy_is_not(tmp_path: Path) -> None:
    one = made(tmp_path / "one", a_safetensors="x" * 100, tokenizer_json="{}")
    two = made(tmp_path / "two", a_safetensors="x" * 100, tokenizer_json="{}")
    assert await digest(one) == await digest(two)
    made(two, a_safetensors="x" * 99 + "y")
    assert await digest(one) != await digest(two)


async def test_page_about_the_model_does_not_count(tmp_path: Path) -> None:
    one = made(tmp_path / "one", a_safetensors="x")
    before = await digest(one)
    (one / "README.md").write_text("about")
    assert await digest(one) == before


async def test_model_that_is_not_here_has_no_digest(tmp_path: Path) -> None:
    assert await digest(tmp_path / "nowhere") is None


async def test_code_of_a_model_counts_where_vllm_runs_it(tmp_path: Path) -> None:
    one = made(tmp_path / "one", a_safetensors="x", modeling_py="1")
    trusts = "flags = { trust-remote-code = true }"
    before, trusted = await digest(one), await digest(one, trusts)
    made(one, modeling_py="2")
    assert await digest(one) == before
    assert await digest(one, trusts) != trusted
