"""Sphinx's settings of the documentation site: ``make docs`` builds it into build/docs/html.

It is read from files too (`file://`): nothing is loaded from a network, and no page fetches
another.
"""

import re
from pathlib import Path

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
html_static_path = ["site.css"]
html_css_files = ["site.css"]
html_copy_source = False
html_show_sphinx = False
html_show_copyright = False
html_show_search_summary = False
"""A summary is fetched, which a browser refuses to a page that is a file."""


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


def _as_on_the_site(_: Sphinx, page: str, source: list[str]) -> None:
    """Lead links to the site's own pages; a diagram would need a program from the network."""
    for there, here in FROM_HERE.items():
        source[0] = source[0].replace(f"]({there}", f"]({here}")
    source[0] = DIAGRAM.sub(WITHOUT_DIAGRAM, source[0])
