"""What CONTRIBUTING.md says of adding a thing is so: this does it, to a copy of the tree.

All examples at once, in two runs of pytest: without the last file of each, where its first check
has to fail and so say what is missing; then whole, where all checks pass.
"""

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path

from tests.helpers.contributing import EXAMPLES, ROOT, apply

COPIED = ("dashboards", "docs", "etc", "packaging", "tests", "tools", "vllmd", "pyproject.toml")
OPTIONS = "-q --noconftest --tb=no -rfE -p no:xdist -p no:cacheprovider"
PYTEST = (sys.executable, "-m", "pytest", *OPTIONS.split())


def failed_checks(tree: Path, checks: Iterable[str]) -> set[str]:
    """Run tests in a tree; return those that fail, without their parameters."""
    ran = subprocess.run(
        [*PYTEST, *sorted(set(checks))],
        cwd=tree,
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "PYTHONPATH": str(tree)},
    )
    assert ran.returncode in (0, 1), ran.stdout + ran.stderr
    return set(re.findall(r"^(?:FAILED|ERROR) ([^\s\[]+)", ran.stdout, re.MULTILINE))


def copy(tree: Path) -> None:
    ignored = shutil.ignore_patterns("node_modules")
    for name in COPIED:
        if (ROOT / name).is_dir():
            shutil.copytree(ROOT / name, tree / name, symlinks=True, ignore=ignored)
        else:
            shutil.copy(ROOT / name, tree / name)


def test_examples_pass_their_checks_and_fail_them_without_their_last_file(tmp_path: Path) -> None:
    copy(tree := tmp_path)
    for each in EXAMPLES:
        for name, lines in each.files[: max(1, len(each.files) - 1)]:
            apply(tree, name, lines)
    failed = failed_checks(tree, [each.checks[0] for each in EXAMPLES])
    silent = [
        each.title for each in EXAMPLES if not any(f.startswith(each.checks[0]) for f in failed)
    ]
    assert silent == [], "nothing says what is missing"
    for each in EXAMPLES:
        for name, lines in each.files[1:][-1:]:
            apply(tree, name, lines)
    generate = [sys.executable, str(tree / "tools" / "monitoring.py")]
    subprocess.run(generate, cwd=tree, check=True, env={**os.environ, "PYTHONPATH": str(tree)})
    assert failed_checks(tree, [check for each in EXAMPLES for check in each.checks]) == set()
