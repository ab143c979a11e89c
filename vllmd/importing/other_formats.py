"""Texts that start vLLM in forms that are not read, with what to import in their place. Pure."""

import posixpath
import re
from collections.abc import Callable, Mapping

from vllmd.importing.other_shells import of_another_shell
from vllmd.importing.yaml_values import Items, Table, items_in, table_in

_BY_NAME: Mapping[str, str] = {
    r"\.(bat|cmd)$": "a script of Windows: import its command alone, with '\\' at the ends of "
    "lines in place of '^'",
    r"^package\.json$": "of npm: import the command of one of its scripts",
    r"^\.gitlab-ci\.ya?ml$": "a pipeline of CI: import the command that it runs",
    r"\.ps1$": "a script of PowerShell: import its command alone, with '\\' at the ends of "
    "lines in place of '`'",
    r"(?i)(^|/)(gnu)?makefile$|\.mk$": "a Makefile: 'make -n TARGET' prints the commands: import "
    "these",
    r"(?i)(^|/)\.?justfile$": "a justfile: 'just -n RECIPE' prints the commands: import these",
    r"\.nix$": "a module of NixOS: 'systemctl cat NAME' prints the unit that it makes: import that",
    r"\.(hcl|nomad)$": "a job of Nomad: import the command that its task runs, as 'docker run …'",
    r"\.tf$": "Terraform: import what runs on the host, such as a unit",
    r"\.[cm]?js$": "of pm2: 'pm2 prettylist' has the command: import that",
    r"\.py$": "a program in Python: import the command that it runs, or --pid of what it started",
    r"\.ipynb$": "a notebook: import the command that it runs, or --pid of what it started",
    r"(^|/)Procfile(\.\w+)?$": "a Procfile: import the command of one of its lines",
    r"\.plist$": "of launchd, and vLLM on a Mac is none that vllmd runs",
}
_DOCKERFILE = (
    "a Dockerfile says what is in an image, and not how it is run: import the 'docker run' line or "
    "the compose file, with its ENTRYPOINT and CMD written out"
)
_SERVICE_OF_DSTACK = frozenset({"service", "task", "dev-environment"})


def _is_sky_pilot(table: Table) -> bool:
    return "run" in table and bool({"resources", "setup", "service", "envs"} & table.keys())


def _is_ray(table: Table) -> bool:
    return bool(items_in(table, "applications")) or bool(items_in(table, "llm_configs"))


def _is_dstack(table: Table) -> bool:
    return bool(items_in(table, "commands")) and table.get("type") in _SERVICE_OF_DSTACK


def _is_llama_swap(table: Table) -> bool:
    models = table_in(table, "models").values()
    return any({"cmd", "proxy"} & table_in(each).keys() for each in models)


def _is_taskfile(table: Table) -> bool:
    return any("cmds" in table_in(each) for each in table_in(table, "tasks").values())


def _is_workflow(table: Table) -> bool:
    return bool(table_in(table, "jobs"))


def _is_tmux(table: Table) -> bool:
    return bool(items_in(table, "windows"))


def _is_mprocs(table: Table) -> bool:
    return any(
        {"shell", "cmd"} & table_in(each).keys() for each in table_in(table, "procs").values()
    )


_TABLES: tuple[tuple[Callable[[Table], bool], str], ...] = (
    (
        _is_sky_pilot,
        "a task of SkyPilot, which chooses a host itself: import the command of its 'run:', as it "
        "runs on this one",
    ),
    (
        _is_ray,
        "of Ray Serve, which spreads engines over hosts: write its engine_kwargs as 'vllm serve "
        "MODEL --flag …', and import that",
    ),
    (_is_dstack, "of dstack, which chooses a host itself: import its command"),
    (
        _is_llama_swap,
        "of llama-swap, which starts one model and ends another: import the cmd of one, with its "
        "${PORT} written",
    ),
    (_is_taskfile, "a Taskfile: 'task --dry NAME' prints the commands: import these"),
    (_is_workflow, "a workflow of CI: import the command that it runs"),
    (_is_tmux, "a session of tmux (tmuxinator, tmuxp): import the command of one of its windows"),
    (_is_mprocs, "of mprocs: import the command of one of its procs"),
)


def refusal(text: str, name: str) -> str | None:
    """Return what a text is that is not read, and what to do; None if it may be read."""
    for pattern, said in _BY_NAME.items():
        if re.search(pattern, posixpath.basename(name)):
            return f"it is {said}"
    if other := of_another_shell(text, name):
        return other
    if re.match(r"#!\S*/openrc-run\b", text):
        return "it is of OpenRC: import its command with its command_args"
    if re.search(r"^\[watcher:[^\]]+\]\s*$", text, re.MULTILINE):
        return "it is of circus: import its cmd with its args"
    if found := re.search(r"^\[Kube\]\s*$(?:\n(?!\[).*)*?\nYaml=(.+)$", text, re.MULTILINE):
        return f"it is a quadlet of manifests: import {found[1].strip()}"
    if re.search(r"^FROM\s+\S+", text, re.MULTILINE | re.IGNORECASE) and re.search(
        r"^(CMD|ENTRYPOINT|RUN|COPY|ENV)\s", text, re.MULTILINE
    ):
        return _DOCKERFILE
    return None


def refusal_of_yaml(found: object) -> str | None:
    """Return what a document of YAML is that is not read, and what to do; None if it may be."""
    if isinstance(found, Items):
        if any({"hosts", "tasks", "name"} & table_in(each).keys() for each in found):
            return (
                "it is of Ansible: import what it makes on the host: the unit, the compose file, "
                "or the 'docker run' line"
            )
        return None
    if not isinstance(found, Table):
        return None
    return next((f"it is {said}" for fits, said in _TABLES if fits(found)), None)
