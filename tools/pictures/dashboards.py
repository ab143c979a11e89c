"""Pictures of the dashboards, drawn by Grafana's own components: `tools/dashboard_renderer`."""

import contextlib
import shutil
import subprocess
import threading
import urllib.parse
from collections.abc import Iterator, Mapping
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from tests.helpers.browser import Browser, Tab
from tests.helpers.npm import installed, with_our_node
from tools.pictures.demo_host import Recorded

ROOT = Path(__file__).parents[2]
SOURCE = ROOT / "tools" / "dashboard_renderer"
WIDTHS = (1920, 1280)
HEIGHT = 1080
SCRAPE_S = 5
"""What Grafana is told; it is scraped each second, so that alerts and rules are in time."""
FLAGS = (
    "--bundle", "--minify", "--format=esm", "--splitting", "--outdir=out", "--jsx=automatic",
    "--loader:.svg=dataurl", "--loader:.png=dataurl", "--loader:.woff=file", "--loader:.woff2=file",
    "--loader:.ttf=file", '--define:process.env.NODE_ENV="production"', "--define:global=window",
    "--alias:react-router-dom-v5-compat=react-router-dom", "--log-level=error",
)  # fmt: skip


def built() -> Path:
    """Return the folder with the renderer, made of its source of today, types checked."""
    folder = installed(SOURCE)
    for name in ("src", "out"):
        shutil.rmtree(folder / name, ignore_errors=True)
    shutil.copytree(SOURCE / "src", folder / "src")
    for name in ("index.html", "tsconfig.json"):
        shutil.copy(SOURCE / name, folder)
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


def draw(browser: Browser, recorded: Recorded, folder: Path, theme: str = "dark") -> list[str]:
    """Write NAME-WIDTH.png of each dashboard, and return what went wrong."""
    dashboards = ROOT / "dashboards"
    problems = []
    with served(built(), dashboards) as url:
        for path in sorted(dashboards.glob("*.json")):
            query = urllib.parse.urlencode(
                {
                    "d": path.stem,
                    "from": round(1000 * recorded.begin),
                    "to": round(1000 * recorded.end),
                    "scrape": SCRAPE_S,
                    "prometheus": recorded.stored.url,
                    "theme": theme,
                }
            )
            for width in WIDTHS:
                target = folder / f"{path.stem}-{width}.png"
                found = _draw(browser, f"{url}/?{query}", width, target)
                problems += [f"{target.name}: {each}" for each in found]
    return problems


def _draw(browser: Browser, url: str, width: int, target: Path) -> list[str]:
    tab = Tab(browser)
    try:
        tab.look(width, HEIGHT)
        tab.open(url)
        tab.wait_for("document.body.hasAttribute('data-ready')")
        tab.screenshot(target)
        found: list[str] = tab.value("window.problems")
        return [*found, *(each for each in tab.problems() if not each.startswith("Failed to load"))]
    finally:
        tab.close()
