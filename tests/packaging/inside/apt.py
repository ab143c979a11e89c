"""The package by apt, from a repository that was made of it; nothing else is asked."""

import os
from typing import Any

from .tools import sh

REPOSITORY = "/opt/t/apt"
SOURCES = f"""Types: deb
URIs: file:{REPOSITORY}
Suites: stable
Components: main
Signed-By: /etc/apt/keyrings/vllmd.asc
"""
ALONE = "-o Dir::Etc::sourcelist=/dev/null -o Dir::Etc::sourceparts=/etc/apt/vllmd"


def apt(command: str) -> str:
    """Run apt with that repository alone: these systems have no network."""
    options = f"{ALONE} -q -y --no-install-recommends"
    return sh(f"DEBIAN_FRONTEND=noninteractive apt-get {options} {command}")


def install(row: dict[str, Any], version: str) -> None:
    """Do what docs/install.md says, with the repository where it lies."""
    os.makedirs("/etc/apt/vllmd", exist_ok=True)
    sh(f"install -D -m 644 {REPOSITORY}/vllmd.asc /etc/apt/keyrings/vllmd.asc")
    with open("/etc/apt/vllmd/vllmd.sources", "w") as file:
        file.write(SOURCES)
    said = apt("update")
    assert not [line for line in said.splitlines() if line[:2] in ("W:", "E:")], said
    row["apt"] = apt(f"install vllmd={version}")[-400:]
    policy = sh(f"apt-cache {ALONE} policy vllmd")
    assert f"Installed: {version}" in policy, row["apt"] + policy
    row["origin"] = next(line.strip() for line in policy.splitlines() if "file:" in line)


def unsigned_is_refused() -> None:
    """Change what was signed: apt takes nothing of it."""
    packages = f"{REPOSITORY}/dists/stable/InRelease"
    with open(packages) as file:
        text = file.read()
    with open(packages, "w") as file:
        file.write(text.replace("Label: vllmd", "Label: other"))
    said = apt("update")
    with open(packages, "w") as file:
        file.write(text)
    assert "E:" in said or "W:" in said, said
