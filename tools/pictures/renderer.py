"""What draws a dashboard: `tools/dashboard_renderer`, Grafana's own components, in Chromium."""

import contextlib
import shutil
import subprocess
import threading
import urllib.parse
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import attrs

from tests.helpers.browser import Browser, Tab
from tests.helpers.npm import installed, with_our_node

ROOT = Path(__file__).parents[2]
SOURCE = ROOT / "tools" / "dashboard_renderer"
HEIGHT = 1080
FLAGS = (
    "--bundle", "--minify", "--format=esm", "--splitting", "--outdir=out", "--jsx=automatic",
    "--loader:.svg=dataurl", "--loader:.png=dataurl", "--loader:.woff=file", "--loader:.woff2=file",
    "--loader:.ttf=file", '--define:process.env.NODE_ENV="production"', "--define:global=window",
    "--alias:react-router-dom-v5-compat=react-router-dom", "--log-level=error",
)  # fmt: skip


def built() -> Path:
    """Return the folder with the renderer, made of its source of today, types checked."""
    folder = ROOT / "build" / "dashboard-renderer"  # of this tree: another one's may be drawing
    shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(SOURCE, folder)
    (folder / "node_modules").symlink_to(installed(SOURCE) / "node_modules")
    programs = folder / "node_modules" / ".bin"
    for command in (("tsc",), ("esbuild", "src/main.tsx", *FLAGS)):
        program, *arguments = command
        subprocess.run(
            [str(programs / program), *arguments], cwd=folder, check=True, env=with_our_node()
        )
    return folder


class _Handler(SimpleHTTPRequestHandler):
    """Answers with files of folders, by the beginning of the path."""

    def __init__(self, folders: Mapping[str, Path], *args: object) -> None:
        self._folders = folders
        super().__init__(*args)  # type: ignore[arg-type]

    def translate_path(self, path: str) -> str:
        """Return which file a path of the page is."""
        wanted = urllib.parse.urlsplit(path).path
        start = max((s for s in self._folders if wanted.startswith(s)), key=len)
        return str(self._folders[start] / wanted.removeprefix(start))

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@contextlib.contextmanager
def served(folder: Path, dashboards: Path) -> Iterator[str]:
    """Serve the renderer and these dashboards; yield the address."""
    images = folder / "node_modules" / "@grafana" / "ui" / "dist" / "public"
    folders = {
        "/": folder,
        "/out/": folder / "out",
        "/dashboards/": dashboards,
        "/public/": images,
    }
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(_Handler, folders))
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@attrs.frozen
class View:
    """What is looked at: a dashboard, an hour (seconds since the epoch), and in which window."""

    dashboard: str
    begin: float
    end: float
    scrape_s: int
    width: int = 1920
    theme: str = "dark"
    rows_open: bool = True
    """Whether closed rows are drawn as if somebody had opened them."""
    variables: Mapping[str, str] = attrs.field(factory=dict)

    def query(self, prometheus: str) -> str:
        """Return what the renderer is asked."""
        asked = {
            "d": self.dashboard,
            "from": str(round(1000 * self.begin)),
            "to": str(round(1000 * self.end)),
            "scrape": str(self.scrape_s),
            "prometheus": prometheus,
            "theme": self.theme,
            **({"open": "1"} if self.rows_open else {}),
            **{f"var-{name}": value for name, value in self.variables.items()},
        }
        return urllib.parse.urlencode(asked)


@attrs.frozen
class Drawn:
    """What came of it."""

    problems: Sequence[str]
    """What went wrong; a picture with one is none."""
    panels: Sequence[Mapping[str, Any]]
    """What each panel shows. Source: tools/dashboard_renderer/src/report.ts."""
    events: Sequence[Mapping[str, Any]]
    """The marks."""


def draw(
    browser: Browser,
    renderer: str,
    prometheus: str,
    view: View,
    target: Path,
    *,
    whole: bool = True,
) -> Drawn:
    """Write a picture, of the whole page or of its first screen."""
    tab = Tab(browser)
    try:
        tab.look(view.width, HEIGHT)
        tab.open(f"{renderer}/?{view.query(prometheus)}")
        tab.wait_for("document.body.hasAttribute('data-ready')")
        tab.screenshot(target, whole=whole)
        report = tab.value("window.report || { panels: {}, events: [] }")
        seen = [each for each in tab.problems() if not each.startswith("Failed to load")]  # icons
        problems = [*tab.value("window.problems"), *seen]
        return Drawn(problems, list(report["panels"].values()), report["events"])
    finally:
        tab.close()
