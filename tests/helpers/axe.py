"""Whether a page can be read and used by everybody: axe-core, run in the page."""

import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

from tests.helpers.browser import Tab

SOURCE = Path(__file__).parents[1] / "axe"
_RUN = "axe.run(document, {resultTypes: ['violations']}).then(found => found.violations)"


def script() -> str:
    """Return axe-core; it is fetched once, by npm, by its hash."""
    cache = Path(os.environ.get("VLLMD_CACHE") or Path.home() / ".cache" / "vllmd")
    folder = cache / "axe"
    lock, built = folder / "package-lock.json", folder / "node_modules" / "axe-core" / "axe.min.js"
    if not (built.exists() and lock.read_bytes() == (SOURCE / lock.name).read_bytes()):
        shutil.rmtree(folder, ignore_errors=True)
        shutil.copytree(SOURCE, folder)
        npm = Path(sys.executable).with_name("npm")
        command = [str(npm), "ci", "--no-audit", "--no-fund", "--ignore-scripts"]
        path = f"{npm.parent}:{os.environ['PATH']}"
        subprocess.run(
            command, cwd=folder, check=True, capture_output=True, env={**os.environ, "PATH": path}
        )
    return built.read_text()


def violations(tab: Tab, axe: str) -> list[str]:
    """Return what axe finds in a page: contrast, names, roles, order of headings, landmarks."""
    tab.value(axe + "; true")
    found: list[dict[str, Any]] = tab.value(_RUN)
    return [
        f"{each['id']}: {each['help']}: {[node['html'] for node in each['nodes']][:3]}"
        for each in found
    ]
