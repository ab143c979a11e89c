"""Every link and every block of the documentation: it leads somewhere, and it is what it says."""

import ast
import json
import subprocess
from pathlib import Path

import pytest
from ruamel.yaml import YAML

from tests.helpers.documents import (
    PAGES,
    ROOT,
    Block,
    all_languages,
    anchors,
    blocks,
    commands,
    complaint,
    links,
    toml_of,
)
from tests.helpers.site import needs
from vllmd.config.load import parse
from vllmd.config.problem import InvalidConfigError

CHECKED = {"sh", "toml", "python", "json", "yaml", "promql"}
AS_IT_STANDS = {"", "text", "mermaid", "diff", "{toctree}", "{include}"}
"""What no program reads: drawings, what is printed, and what tests/integration applies."""


def of(page: Path) -> str:
    return str(page.relative_to(ROOT))


@pytest.mark.parametrize("page", PAGES, ids=of)
def test_links_of_a_page_lead_somewhere(page: Path) -> None:
    broken = []
    for link in links(page):
        if link.startswith(("http://", "https://")):
            continue
        path, _, anchor = link.partition("#")
        target = (page.parent / path).resolve() if path else page
        if not target.exists() or (anchor and anchor not in anchors(target)):
            broken.append(link)
    assert not broken


def test_readme_is_short() -> None:
    assert len((ROOT / "README.md").read_text().split()) < 600


def test_links_and_anchors_that_lead_nowhere_are_found(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text("# A title, `code_of` it\n## Twice\n## Twice\n[a](other.md#x) ![b](c.png)\n")
    assert list(links(page)) == ["other.md#x", "c.png"]
    assert anchors(page) == {"a-title-code_of-it", "twice", "twice-1"}


def test_every_language_is_checked_or_known_to_stand_as_it_is() -> None:
    assert all_languages() <= CHECKED | AS_IT_STANDS


@pytest.mark.parametrize("block", blocks("toml"), ids=lambda block: block.where)
def test_configuration_is_what_vllmd_reads(block: Block) -> None:
    try:
        parse(toml_of(block))
    except InvalidConfigError as error:
        pytest.fail(f"{block.where}: {error}")


@pytest.mark.parametrize("page", PAGES, ids=of)
def test_commands_of_a_page_exist_with_their_options(page: Path) -> None:
    wrong = [
        f"{block.where}: vllmd {' '.join(arguments)}: {problem}"
        for block in blocks("sh")
        if block.page == page
        for arguments in commands(block.text)
        if (problem := complaint(arguments))
    ]
    assert not wrong, "\n".join(wrong)


def test_commands_that_do_not_exist_are_found() -> None:
    text = "apt x && .venv/bin/vllmd status --nosuch  # vllmd y\n"
    text += "curl a | vllmd why --log - \\\n  --x\n"
    assert list(commands(text)) == [["status", "--nosuch"], ["why", "--log", "-", "--x"]]
    for words, said in (
        ("status --nosuch", "--nosuch"),
        ("nosuch", "no command 'nosuch'"),
        ("gpu nosuch", "no command 'nosuch' of 'vllmd gpu'"),
        ("reload chat code", "too many"),
    ):
        assert said in (complaint(words.split()) or ""), words
    for words in ("status", "ps", "", "lora add a /b", "rules export …", "help"):
        assert complaint(words.split()) is None, words
    assert sum(len(list(commands(block.text))) for block in blocks("sh")) > 150


def test_python_json_and_yaml_can_be_read() -> None:
    for block in blocks("python"):
        ast.parse(block.text)
    for block in blocks("json"):
        json.loads(block.text)
    for block in blocks("yaml"):
        YAML(typ="safe").load(block.text)


def test_queries_are_what_prometheus_reads(tmp_path: Path) -> None:
    needs("promtool")
    rules = [
        {"record": f"of:block:{number}", "expr": block.text.strip()}
        for number, block in enumerate(blocks("promql"))
    ]
    assert len(rules) > 150
    path = tmp_path / "queries.yml"
    path.write_text(json.dumps({"groups": [{"name": "queries", "rules": rules}]}))
    done = subprocess.run(
        ["promtool", "check", "rules", path], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
