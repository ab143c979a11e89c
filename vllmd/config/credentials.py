"""Secrets of `/etc/vllmd/credentials`, one a file, that no configuration has to hold.

Under systemd they come by `LoadCredential` (packaging/systemd/vllmd-daemon.service), which root
reads and only the service sees; elsewhere the folder itself is read by whoever may.
Source: systemd.exec(5).
"""

import os
import re
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import TypeVar

import attrs

from vllmd.config import rules
from vllmd.config.model import Config, EngineConfig
from vllmd.config.problem import ConfigProblem, ProblemSeverity
from vllmd.shim.files import UnusableFileError, read_regular
from vllmd.util.units import KIB

MAX_FILE_BYTES = 64 * KIB
FOLDER = Path("/etc/vllmd/credentials")
PREFIX = "vllmd_"
"""What `LoadCredential=vllmd:…` puts before the names of the files."""

API_KEY = "api_key"
"""One key a line. vLLM's variable takes one of them alone: several are a file of its --config."""
COMMENT = "#"
VARIABLES = {"hf_token": "HF_TOKEN", API_KEY: "VLLM_API_KEY"}
"""Files that become a variable of every engine, or with ``.NAME`` of one of them."""

ENVIRONMENT = "env"
"""``env.VARIABLE`` becomes that variable of every engine, ``env.VARIABLE.NAME`` of one of them."""

WEBHOOK, HEADERS = "webhook", "otlp_headers"
_FLEET_FILES = ("password_file", "ca_file")
_FORWARD_FILES = ("headers_file", "ca_file", "client_certificate_file", "client_key_file")
T = TypeVar("T")

KNOWN = (*VARIABLES, WEBHOOK, HEADERS, f"{ENVIRONMENT}.VARIABLE")
_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


@attrs.frozen
class Credentials:
    """What the files hold, by their names; `files` are where they were found."""

    values: Mapping[str, str] = attrs.field(factory=dict, repr=False)
    files: Mapping[str, Path] = attrs.field(factory=dict)
    several: Mapping[str, tuple[str, ...]] = attrs.field(factory=dict, repr=False)
    """All lines of a file of API keys that has more than one; `values` has the first."""
    problems: tuple[ConfigProblem, ...] = ()

    def name_for(self, kind: str, engine: str) -> str:
        """Return the file of that kind for an engine: its own before the one for all."""
        own = f"{kind}.{engine}"
        return own if own in self.values else kind


NO_SECRETS = Credentials()


def read(env: Mapping[str, str] = os.environ, folder: Path = FOLDER) -> Credentials:
    """Read the files that this process was given, or else those of the host that it may read."""
    host = _listed(folder)
    given = env.get("CREDENTIALS_DIRECTORY")
    if given is None:
        # systemd gives no folder where there was no file; others are not to read what they may not
        return _gather(host, _late if "INVOCATION_ID" in env else None)
    try:
        paths = {
            path.name.removeprefix(PREFIX): path
            for path in sorted(Path(given).iterdir())
            if path.name.startswith(PREFIX)
        }
    except OSError as error:  # in a container whose systemd cannot give them to a user
        found = _gather(host)
        if not host:
            return found
        problem = ConfigProblem(
            f"what systemd took from {FOLDER} cannot be read: {error}",
            "let group vllmd read those files (chgrp vllmd, chmod 640)",
            severity=ProblemSeverity.WARNING,
        )
        return attrs.evolve(found, problems=(problem, *found.problems))
    found = _gather(paths, _unreadable)
    late = [_late(name) for name in host if name not in paths]
    return attrs.evolve(found, problems=(*found.problems, *late))


def _gather(
    paths: Mapping[str, Path], unreadable: Callable[[str], ConfigProblem] | None = None
) -> Credentials:
    """Read files; `unreadable` says what is told of one that cannot be."""
    values: dict[str, str] = {}
    files: dict[str, Path] = {}
    several: dict[str, tuple[str, ...]] = {}
    problems = []
    for name, path in paths.items():
        try:
            text = read_regular(path, MAX_FILE_BYTES).decode()
        except UnusableFileError as error:
            problems.append(_warn(name, f"cannot be read: {error.strerror}", "write it again"))
            continue
        except (OSError, UnicodeDecodeError):
            problems += [unreadable(name)] if unreadable else []
            continue
        is_keys = name.partition(".")[0] == API_KEY
        if is_keys:
            text, refused = _without_comments(name, text)
            problems += refused
        if not (text := text.strip()):
            problems.append(_warn(name, "is empty", "write the secret into it, or remove it"))
            continue
        lines = tuple(line.strip() for line in text.splitlines() if line.strip())
        if is_keys and len(lines) > 1:
            several[name], text = lines, lines[0]
        values[name], files[name] = text, path
    return Credentials(values, files, several, tuple(problems))


def _without_comments(name: str, text: str) -> tuple[str, list[ConfigProblem]]:
    """Return a file of keys without lines that are comments to who wrote them, and say so."""
    lines = text.splitlines()
    refused = [number for number, line in enumerate(lines, 1) if line.strip().startswith(COMMENT)]
    kept = [line for line in lines if not line.strip().startswith(COMMENT)]
    fix = "take the comment out: every line is a key"
    what = f"begins with {COMMENT!r} and is no key"
    return "\n".join(kept), [_warn(name, f"line {each} {what}", fix) for each in refused]


def apply(config: Config, found: Credentials) -> tuple[Config, list[ConfigProblem]]:
    """Fill in what the configuration leaves open; what it says itself wins.

    Returns: the configuration to go on with, and warnings about files that are of no use.
    """
    problems = [*found.problems, *_unknown(config, found)]
    engines = {
        name: _with(engine, _variables(name, found, problems), _keys(engine, found, problems))
        for name, engine in config.engines.items()
    }
    notify = _found_at(config.notify, ("webhook_url_file",), found)
    fleet = _found_at(config.fleet, _FLEET_FILES, found)
    forward = _found_at(config.traces.forward, _FORWARD_FILES, found)
    if not notify.webhook_url and not notify.webhook_url_file and WEBHOOK in found.values:
        try:
            url = attrs.fields(type(notify)).webhook_url.metadata["rule"](found.values[WEBHOOK])
            notify = attrs.evolve(notify, webhook_url=url)
        except rules.RuleError as error:
            problems.append(_warn(WEBHOOK, f"is not {error.expects}", "write the address into it"))
    if not forward.headers_file and HEADERS in found.files:
        forward = attrs.evolve(forward, headers_file=str(found.files[HEADERS]))
    traces = attrs.evolve(config.traces, forward=forward)
    filled = attrs.evolve(config, engines=engines, notify=notify, traces=traces, fleet=fleet)
    return filled, problems


def _with(engine: EngineConfig, secrets: Mapping[str, str], keys: tuple[str, ...]) -> EngineConfig:
    secret = frozenset(secrets) - engine.env.keys()
    env = {**secrets, **engine.env}
    return attrs.evolve(engine, env=env, secret_variables=secret, api_keys=keys)


def _keys(
    engine: EngineConfig, found: Credentials, problems: list[ConfigProblem]
) -> tuple[str, ...]:
    """Return the keys of an engine that has several."""
    name = found.name_for(API_KEY, engine.name)
    keys = found.several.get(name, ())
    if not keys or VARIABLES[API_KEY] in engine.env:
        return ()
    if any(len(key.split()) != 1 or not key.isprintable() or key[0] == "-" for key in keys):
        what = "has a line that is not one word, or begins with '-': its first key is used alone"
        _once(problems, _warn(name, what, "write one key a line"))
        return ()
    if "config" in engine.flags:
        what = f"has {len(keys)} keys, and flags.config of {engine.name} is set: its first key is"
        fix = "write what that file has as flags: vLLM takes one file, and several keys need it"
        _once(problems, _warn(name, f"{what} used alone", fix))
        return ()
    return keys


def _found_at(section: T, keys: tuple[str, ...], found: Credentials) -> T:
    """Let keys that name a file of the folder name it where this process may read it."""
    values = {key: getattr(section, key) for key in keys}
    here = {
        key: str(found.files[Path(value).name])
        for key, value in values.items()
        if value and Path(value).parent == FOLDER and Path(value).name in found.files
    }
    return attrs.evolve(section, **here)  # type: ignore[misc]


def _listed(folder: Path) -> Mapping[str, Path]:
    try:
        return {path.name: path for path in sorted(folder.iterdir()) if path.name[0] != "."}
    except OSError:
        return {}


def _unreadable(name: str) -> ConfigProblem:
    return _warn(name, "is not text", "write it again")


def _late(name: str) -> ConfigProblem:
    """Return what is said of a file that is there now, and was not when systemd handed them out."""
    fix = "systemctl restart vllmd-daemon (the engines serve on)"
    return _warn(name, "came after the daemon started", fix)


def _variables(engine: str, found: Credentials, problems: list[ConfigProblem]) -> Mapping[str, str]:
    variables = {}
    for name, value in sorted(found.values.items(), key=lambda each: each[0].count(".")):
        given, own = _variable_of(name)
        if not given or own not in ("", engine):
            continue
        if "\0" in value:
            _once(problems, _warn(name, "has a NUL character in it", "write it again"))
        else:
            variables[given] = value
    for kind, variable in VARIABLES.items():
        name = found.name_for(kind, engine)
        if name not in found.values:
            continue
        value = found.values[name]
        if len(value.split()) != 1 or not value.isprintable():
            _once(problems, _warn(name, "is not one word", "write the secret alone into it"))
            continue
        variables[variable] = value
    return variables


def _once(problems: list[ConfigProblem], problem: ConfigProblem) -> None:
    if problem not in problems:
        problems.append(problem)


def _variable_of(name: str) -> tuple[str, str]:
    """Return the variable that a file is for, and the engine if it is for one; else nothing."""
    kind, _, rest = name.partition(".")
    variable, _, engine = rest.partition(".")
    fits = kind == ENVIRONMENT and _VARIABLE.fullmatch(variable)
    return (variable, engine) if fits else ("", "")


def _unknown(config: Config, found: Credentials) -> Iterator[ConfigProblem]:
    """Yield files that nothing reads: their owner thinks they are in use."""
    named = {config.notify.webhook_url_file}
    named |= {getattr(config.traces.forward, key) for key in _FORWARD_FILES}
    named |= {getattr(config.fleet, key) for key in _FLEET_FILES}
    for name in found.files:
        kind, dot, engine = name.partition(".")
        if str(FOLDER / name) in named:
            continue
        variable, own = _variable_of(name)
        if variable:
            dot, engine = own, own
        elif kind not in KNOWN or (dot and kind not in VARIABLES):
            hint = rules.suggest(kind, KNOWN) or f"vllmd knows {', '.join(KNOWN)}"
            yield _warn(name, "is read by nothing", hint)
            continue
        if dot and engine not in config.engines:
            hint = rules.suggest(engine, config.engines) or "rename it, or remove it"
            yield _warn(name, f"is for an engine {engine!r} that is not configured", hint)


def _warn(name: str, what: str, fix: str) -> ConfigProblem:
    return ConfigProblem(f"{FOLDER / name} {what}", fix, severity=ProblemSeverity.WARNING)
