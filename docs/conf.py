"""Sphinx's settings of the documentation site: ``make docs`` builds it into build/docs/html.

It is read from files too (`file://`): nothing is loaded from a network, and no page fetches
another.
"""

import html
import json
import re
from pathlib import Path

from docutils import nodes
from sphinx.application import Sphinx

ROOT = Path(__file__).parents[1]
_VERSION = (ROOT / "vllmd" / "__init__.py").read_text().partition('__version__ = "')[2]

project = "vllmd"
version = release = _VERSION.partition('"')[0]
extensions = ["myst_parser"]
exclude_patterns = ["outcomes"]
nitpicky = True
smartquotes = False

myst_heading_anchors = 4
"""Links to headings as GitHub has them."""

html_theme = "furo"
html_title = f"vllmd {version}"
html_static_path = ["site.css", "excerpts.js"]
html_css_files = ["site.css"]
html_js_files = ["excerpts.js"]
html_copy_source = False
html_show_sphinx = False
html_show_copyright = False


FROM_HERE = {
    "../CONTRIBUTING.md": "contributing.md",
    "../README.md": "index.md",
    "../examples/rag_service/README.md": "rag_service.md",
}
"""Pages that lie elsewhere in the repository, and where the site has them."""
DIAGRAM = re.compile(r"```mermaid\n.*?```", re.DOTALL)
WITHOUT_DIAGRAM = (
    "[The table of states](reference/states.md#states) has every way from one to another."
)


def setup(app: Sphinx) -> None:
    """Have every page read as the site needs it."""
    app.connect("source-read", _as_on_the_site)
    app.connect("build-finished", _write_texts)


def _as_on_the_site(_: Sphinx, page: str, source: list[str]) -> None:
    """Lead links to the site's own pages; a diagram would need a program from the network."""
    for there, here in FROM_HERE.items():
        source[0] = source[0].replace(f"]({there}", f"]({here}")
    source[0] = DIAGRAM.sub(WITHOUT_DIAGRAM, source[0])


def _write_texts(app: Sphinx, error: Exception | None) -> None:
    """Write what search shows excerpts of: a page that is a file may fetch no other."""
    if error is None and app.builder.format == "html":
        names = sorted(app.env.found_docs)
        texts = {f"{name}.html": _text(app.env.get_doctree(name)) for name in names}
        script = f"window.pageTexts = {json.dumps(texts)};\n"
        (Path(app.outdir) / "_static" / "texts.js").write_text(script)


def _text(node: nodes.Node) -> str:
    """Return the text below a node, with the sections that search leads to."""
    if isinstance(node, nodes.raw | nodes.comment):
        return ""
    if not isinstance(node, nodes.document | nodes.section):
        return html.escape(node.astext()) + "\n"
    text = "".join(map(_text, node.children))
    for name in node["ids"]:
        text = f'<section id="{name}">{text}</section>'
    return text
