"""Secrets of `/etc/vllmd/credentials`, one a file, that no configuration has to hold.

Under systemd they come by `LoadCredential` (packaging/systemd/vllmd-daemon.service), which root
reads and only the service sees; elsewhere the folder itself is read by whoever may.
Source: systemd.exec(5).
"""

import os
from collections.abc import Iterator, Mapping
from pathlib import Path

import attrs

from vllmd.config import rules
from vllmd.config.model import Config
from vllmd.config.problem import Problem, Severity

FOLDER = Path("/etc/vllmd/credentials")
PREFIX = "vllmd_"
"""What `LoadCredential=vllmd:…` puts before the names of the files."""

VARIABLES = {"hf_token": "HF_TOKEN", "api_key": "VLLM_API_KEY"}
"""Files that become a variable of every engine, or with ``.NAME`` of one of them."""

WEBHOOK, HEADERS = "webhook", "otlp_headers"
KNOWN = (*VARIABLES, WEBHOOK, HEADERS)


@attrs.frozen
class Credentials:
    """What the files hold, by their names; `files` are where they were found."""

    values: Mapping[str, str] = attrs.field(factory=dict, repr=False)
    files: Mapping[str, Path] = attrs.field(factory=dict)
    problems: tuple[Problem, ...] = ()

    def name_for(self, kind: str, engine: str) -> str:
        """Return the file of that kind for an engine: its own before the one for all."""
        own = f"{kind}.{engine}"
        return own if own in self.values else kind


NO_SECRETS = Credentials()


def read(env: Mapping[str, str] = os.environ, folder: Path = FOLDER) -> Credentials:
    """Read the files that this process was given, or else those of the host that it may read."""
    given = env.get("CREDENTIALS_DIRECTORY")
    prefix = PREFIX if given else ""
    values: dict[str, str] = {}
    files: dict[str, Path] = {}
    problems = []
    for path in _files(Path(given) if given else folder, prefix):
        name = path.name.removeprefix(prefix)
        try:
            text = path.read_text().strip()
        except (OSError, UnicodeDecodeError) as error:
            if given:
                problems.append(_warn(name, f"cannot be read: {error}", "write it again, as text"))
            elif "INVOCATION_ID" in env:  # systemd gives no folder where there was no file
                problems.append(_late(name))
            continue  # what is not for this user is no mistake
        if not text:
            problems.append(_warn(name, "is empty", "write the secret into it, or remove it"))
            continue
        values[name], files[name] = text, path
    if given:
        late = [path.name for path in _files(folder, "") if path.name not in files]
        problems += [_late(name) for name in late]
    return Credentials(values, files, tuple(problems))


def apply(config: Config, found: Credentials) -> tuple[Config, list[Problem]]:
    """Fill in what the configuration leaves open; what it says itself wins.

    Returns: the configuration to go on with, and warnings about files that are of no use.
    """
    problems = [*found.problems, *_unknown(config, found)]
    engines = {
        name: attrs.evolve(engine, env={**_variables(name, found, problems), **engine.env})
        for name, engine in config.engines.items()
    }
    notify, forward = config.notify, config.traces.forward
    if not notify.webhook_url and not notify.webhook_url_file and WEBHOOK in found.values:
        try:
            url = attrs.fields(type(notify)).webhook_url.metadata["rule"](found.values[WEBHOOK])
            notify = attrs.evolve(notify, webhook_url=url)
        except rules.RuleError as error:
            problems.append(_warn(WEBHOOK, f"is not {error.expects}", "write the address into it"))
    if not forward.headers_file and HEADERS in found.files:
        forward = attrs.evolve(forward, headers_file=str(found.files[HEADERS]))
    traces = attrs.evolve(config.traces, forward=forward)
    return attrs.evolve(config, engines=engines, notify=notify, traces=traces), problems


def _files(folder: Path, prefix: str) -> Iterator[Path]:
    try:
        paths = sorted(folder.iterdir())
    except OSError:
        return
    for path in paths:
        if path.name.startswith(prefix) and not path.name.startswith("."):
            yield path


def _late(name: str) -> Problem:
    """Return what is said of a file that is there now, and was not when systemd handed them out."""
    fix = "systemctl restart vllmd-daemon (the engines serve on)"
    return _warn(name, "came after the daemon started", fix)


def _variables(engine: str, found: Credentials, problems: list[Problem]) -> Mapping[str, str]:
    variables = {}
    for kind, variable in VARIABLES.items():
        name = found.name_for(kind, engine)
        value = found.values.get(name)
        if value is None:
            continue
        if len(value.split()) != 1 or not value.isprintable():
            problem = _warn(name, "is not one word", "write the secret alone into it")
            if problem not in problems:
                problems.append(problem)
            continue
        variables[variable] = value
    return variables


def _unknown(config: Config, found: Credentials) -> Iterator[Problem]:
    """Yield files that nothing reads: their owner thinks they are in use."""
    forward = config.traces.forward
    named = {
        *(config.notify.webhook_url_file, forward.headers_file, forward.ca_file),
        *(forward.client_certificate_file, forward.client_key_file),
    }
    for name in found.files:
        kind, dot, engine = name.partition(".")
        if str(FOLDER / name) in named:
            continue
        if kind not in KNOWN or (dot and kind not in VARIABLES):
            hint = rules.suggest(kind, KNOWN) or f"vllmd knows {', '.join(KNOWN)}"
            yield _warn(name, "is read by nothing", hint)
        elif dot and engine not in config.engines:
            hint = rules.suggest(engine, config.engines) or "rename it, or remove it"
            yield _warn(name, f"is for an engine {engine!r} that is not configured", hint)


def _warn(name: str, what: str, fix: str) -> Problem:
    return Problem(f"{FOLDER / name} {what}", fix, severity=Severity.WARNING)
