"""TOML to `Config`: every mistake found in one go."""

import os
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

import attrs

from vllmd.config import (
    CONFIG_PATH,
    credentials,
    group,
    lines,
    lora,
    memory,
    paths,
    plain_text,
    preload,
    probe,
    rules,
    sleep,
    toml_text,
    variable_names,
    variables,
)
from vllmd.config.credentials import NO_SECRETS, Credentials
from vllmd.config.flags import ENDPOINT, secret_arguments, traces_problem
from vllmd.config.model import DEFAULT_PORT, NAME_EXPECTS, NAME_PATTERN, Config, EngineConfig
from vllmd.config.paths import MAX_CONFIG_BYTES, MAX_SOCKET_PATH, socket_path_bytes
from vllmd.config.problem import ConfigProblem, InvalidConfigError, ProblemSeverity
from vllmd.config.sections import LogsConfig
from vllmd.shim.files import read_regular
from vllmd.util.deadline import call_within
from vllmd.util.redact import MASK, masked

_NAME = rules.matching(NAME_PATTERN, NAME_EXPECTS)
MAX_BYTES = MAX_CONFIG_BYTES
"""Ten thousand engines; what is larger is another file."""
UNIT_STOP_S = 120.0
"""`TimeoutStopSec` of packaging/systemd/vllmd-engine@.service."""
UNIT_MARGIN_S = 10.0
"""What the end of the tree and the shim's last words may take."""

_NO_VARIABLES: Mapping[str, str] = MappingProxyType({})


def load(path: Path, env: Mapping[str, str] = os.environ) -> tuple[Config, list[ConfigProblem]]:
    """Read a configuration file, and what variables give of it.

    The usual file may be missing where a variable gives something.

    Returns: the configuration and the warnings about it.
    Raises: InvalidConfigError: with all errors and warnings; the caller goes on with what it had.
    """
    try:
        source = call_within(str(path), lambda: read_regular(path, MAX_BYTES)).decode()
        secrets = call_within(str(credentials.FOLDER), credentials.read)
    except FileNotFoundError as error:
        if path == CONFIG_PATH and variable_names.any_given(env):
            secrets = call_within(str(credentials.FOLDER), credentials.read)
            return parse("", str(path), secrets, env)
        problem = ConfigProblem(
            f"cannot be read: {error.strerror}",
            "'vllmd init' writes a first one, --config PATH names another, and 'vllmd run --demo' "
            "needs none",
        )
        raise InvalidConfigError(str(path), [problem]) from None
    except OSError as error:
        where = "" if error.filename == str(path) else f" ({error.filename})"
        problem = ConfigProblem(
            f"cannot be read: {error.strerror}{where}", "fix it, or give --config PATH"
        )
        raise InvalidConfigError(str(path), [problem]) from None
    except UnicodeDecodeError as error:
        problem = ConfigProblem(f"is not UTF-8 at byte {error.start}", "save it as UTF-8")
        raise InvalidConfigError(str(path), [problem]) from None
    return parse(source, str(path), secrets, env)


def parse(
    source: str,
    path: str | None = None,
    secrets: Credentials = NO_SECRETS,
    env: Mapping[str, str] = _NO_VARIABLES,
) -> tuple[Config, list[ConfigProblem]]:
    """Read a configuration from a string; `path` is only for what is said about it.

    Variables of `env` stand above it; `secrets` fill in what is left open.

    Returns: the configuration and the warnings about it.
    Raises: InvalidConfigError: with all errors and warnings.
    """
    table = toml_text.read(source, path)
    given = variables.merge(table, env)
    toml_text.refuse_extremes(table, source, path)
    reader = _TomlReader(lines.parse_lines(source), given)
    values = reader.read_section(Config, table, ())
    reader.check_ports(table.get("engines"))
    named = {".".join(key): name for key, name in given.variables.items()}
    config = Config(**values, path=path, variables=named) if not reader.failed else None
    about_secrets: list[ConfigProblem] = []
    if config is not None:
        config, about_secrets = credentials.apply(config, secrets)
        engines = config.engines
        reader.check_paths(config)
        reader.check_logs(config.logs)
        reader.check_memory(engines)
        reader.check_stop(engines)
        reader.check_traces(config)
        reader.check_secrets(engines)
        reader.check_adapters(engines)
        reader.check_preload(config)
        reader.check_tables(config)
    if config is None or reader.failed:
        raise InvalidConfigError(path, reader.sorted_problems())
    return config, reader.sorted_problems() + about_secrets


class _TomlReader:
    """Walks the TOML tables beside the model's fields and notes what does not fit."""

    def __init__(
        self, line_numbers: dict[tuple[str, ...], int], given: variables.EnvironmentKeys
    ) -> None:
        self._lines = line_numbers
        self._given = given.variables
        self._problems: list[ConfigProblem] = list(given.problems)

    @property
    def failed(self) -> bool:
        return any(p.severity is ProblemSeverity.ERROR for p in self._problems)

    def sorted_problems(self) -> list[ConfigProblem]:
        return sorted(self._problems, key=lambda p: (p.line or 0, p.key))

    def read_section(self, cls: type, table: Any, path: tuple[str, ...]) -> dict[str, Any]:
        """Read one table; what is wrong is noted and left out of the result."""
        if not isinstance(table, dict):
            self._note(path, f"{table!r} is not a table", f"write [{'.'.join(path)}]")
            return {}
        fields = {f.name: f for f in attrs.fields(cls) if f.metadata}
        values = {}
        for name, value in table.items():
            if name not in fields:
                self._unknown(path, name, cls, fields)
                continue
            result = self._read_field(fields[name], value, (*path, name))
            if result is not rules.MISSING:
                values[name] = result
        for name, field in fields.items():
            if name not in table and field.default is attrs.NOTHING:
                example = f"{name} = {field.metadata.get('example') or '…'}"
                variable = variable_names.name_for((*path, name))
                fix = f"add {example}" if self._in_file(path) else f"set {variable}"
                self._note((*path, name), "is missing", fix)
        return values

    def _read_field(self, field: Any, value: Any, path: tuple[str, ...]) -> Any:
        cls = field.metadata.get("section")
        if cls is None:
            return self._read_key(field.metadata["rule"], value, path)
        if field.metadata["many"]:
            return self._read_many(cls, value, path)
        before = len(self._problems)
        values = self.read_section(cls, value, path)
        return cls(**values) if len(self._problems) == before else rules.MISSING

    def _read_key(self, rule: rules.Rule, value: Any, path: tuple[str, ...]) -> Any:
        try:
            return rule(value)
        except rules.RuleError as error:
            shown = _shown(path[-1], value)
            self._note(path, f"got {shown}", f"it takes {error.expects}")
            return rules.MISSING

    def _read_many(self, cls: type, table: Any, path: tuple[str, ...]) -> Mapping[str, Any]:
        if not isinstance(table, dict):
            self._note(path, f"{table!r} is not a table", f"write [{'.'.join(path)}.NAME]")
            return {}
        items = {}
        for name, value in table.items():
            inner = (*path, name)
            try:
                _NAME(name)
            except rules.RuleError as error:
                self._note(inner, f"{name!r} is not {error.expects}", "rename it")
                continue
            before = len(self._problems)
            values = self.read_section(cls, value, inner)
            if len(self._problems) == before:
                items[name] = cls(name=name, **values)
        return MappingProxyType(items)

    def _unknown(
        self, path: tuple[str, ...], name: str, cls: type, fields: Mapping[str, Any]
    ) -> None:
        flag = name.replace("_", "-")
        fix = rules.suggest(name, fields)
        if not fix and cls is EngineConfig:
            fix = f"a flag of vLLM goes into the table flags: flags.{flag} = …"
        known = "it can be removed; known keys are " + ", ".join(sorted(fields))
        self._note((*path, name), "is not a known key", fix or known)

    def check_ports(self, engines: Any) -> None:
        """Note engines that would fight for one port; `engines` is as the file has it."""
        seen: dict[int, str] = {}
        for name, engine in engines.items() if isinstance(engines, dict) else ():
            port = engine.get("port", DEFAULT_PORT) if isinstance(engine, dict) else None
            other = seen.setdefault(port, name) if isinstance(port, int) else name
            if other != name:
                self._note(
                    ("engines", name, "port"),
                    f"{port} is the port of engines.{other} too",
                    "give each engine a port of its own",
                )

    def check_paths(self, config: Config) -> None:
        """Note a run directory so deep that no socket can be made in it."""
        for name in config.engines:
            size = socket_path_bytes(config, name)
            if size > MAX_SOCKET_PATH:
                self._note(
                    ("daemon", "run_dir"),
                    f"makes a socket path of {size} bytes, the kernel takes {MAX_SOCKET_PATH}",
                    "use a shorter folder",
                )

    def check_logs(self, logs: LogsConfig) -> None:
        """Note a budget that a log, the one before it and its compressed form do not fit in."""
        if logs.budget_mb < 3 * logs.rotate_mb:
            self._note(
                ("logs", "budget_mb"),
                f"{logs.budget_mb} is less than three times rotate_mb, which is {logs.rotate_mb}",
                f"make it {3 * logs.rotate_mb} or more, or lower rotate_mb",
            )

    def check_memory(self, engines: Mapping[str, EngineConfig]) -> None:
        """Warn of engines that may not fit on one GPU together.

        A warning only: which GPU an engine uses is not known here, if it does not say so.
        """
        for names, total in memory.overcommitted(engines):
            self._note(
                ("engines",),
                f"gpu_memory_utilization of {', '.join(names)} adds up to {total:g} on one GPU",
                "keep the sum at 1 or less, or give them GPUs of their own with "
                "env.CUDA_VISIBLE_DEVICES",
                ProblemSeverity.WARNING,
            )

    def check_stop(self, engines: Mapping[str, EngineConfig]) -> None:
        """Warn of a drain that systemd would cut off."""
        for name, engine in engines.items():
            needed_s = engine.drain_s + engine.stop_grace_s + UNIT_MARGIN_S
            if needed_s > UNIT_STOP_S:
                self._note(
                    ("engines", name, "drain_s"),
                    f"drain_s and stop_grace_s need {needed_s:g} s with {UNIT_MARGIN_S:g} s to "
                    f"spare, the unit vllmd-engine@.service gives {UNIT_STOP_S:g} s",
                    "lower them, or raise TimeoutStopSec: systemctl edit vllmd-engine@.service",
                    ProblemSeverity.WARNING,
                )

    def check_secrets(self, engines: Mapping[str, EngineConfig]) -> None:
        """Note secrets among the arguments: a process's are no secret of its user."""
        for name, engine in engines.items():
            for key in secret_arguments(engine):
                fix = "let vLLM read the login from a variable of [engines.NAME.env] or a file"
                if key[0] == "flags":
                    fix = "put it into a file of YAML that only group vllmd reads, and set "
                    fix += "flags.config"
                self._note(
                    ("engines", name, *key),
                    "has a secret, and every user of this host can read a process's arguments",
                    fix,
                    ProblemSeverity.WARNING,
                )

    def check_adapters(self, engines: Mapping[str, EngineConfig]) -> None:
        """Note adapters that could not be served as they are meant to be."""
        for name, engine in engines.items():
            if engine.lora is None:
                continue
            path = ("engines", name, "lora")
            served = engine.served_names
            for adapter in engine.lora.modules:
                if adapter in served:
                    fix = "give the adapter another name"
                    self._note((*path, "modules", adapter), "is the base model's name too", fix)
            problem = lora.dynamic_problem(engine)
            if engine.lora.dynamic and problem:
                fix = "set it to false: adapters then change with a restart"
                self._note((*path, "dynamic"), problem, fix)
            if engine.lora.directory and not lora.dynamic(engine):
                fix = "take it out, and name the adapters in lora.modules"
                reason = problem or "a folder is watched only if lora.dynamic is not false"
                self._note((*path, "directory"), reason, fix)
            if lora.dynamic(engine) and lora.open_to_all(engine):
                self._note(
                    path,
                    f"whoever reaches {engine.host}:{engine.port} may load adapters: there is no "
                    "API key",
                    "write one to /etc/vllmd/credentials/api_key, or set host to 127.0.0.1, or "
                    "lora.dynamic to false",
                    ProblemSeverity.WARNING,
                )

    def check_preload(self, config: Config) -> None:
        """Note engines whose weights cannot be kept in memory, and sockets too deep to be made."""
        for name, engine in config.engines.items():
            for problem in preload.problems(engine):
                self._note(("engines", name, *problem.key), problem.message, problem.fix)
            size = preload.socket_path_bytes(paths.weights_dir(paths.run_dir(config), name))
            if engine.preload and size > MAX_SOCKET_PATH:
                self._note(
                    ("engines", name, "preload"),
                    f"makes a socket path of {size} bytes, the kernel takes {MAX_SOCKET_PATH}",
                    "use a shorter daemon.run_dir, or a shorter name for the engine",
                )

    def check_tables(self, config: Config) -> None:
        """Note engines that cannot sleep, be probed, or be of several hosts, as they are to."""
        web, engines = config.daemon.web_config_file is not None, config.engines
        own = (*probe.problems(engines), *group.problems(engines), *plain_text.problems(config))
        for each in (*sleep.problems(engines, web_config=web), *own):
            self._note(each.key, each.message, each.fix, each.severity)

    def check_traces(self, config: Config) -> None:
        """Note engines that could not serve with spans, and spans that would come back to us."""
        for name, engine in config.engines.items():
            if engine.traces and (problem := traces_problem(engine)):
                fix = "set traces = false, or take the other out"
                self._note(("engines", name, "traces"), problem, fix)
            if engine.traces is None and ENDPOINT in engine.flags:
                self._note(
                    ("engines", name, "flags", ENDPOINT),
                    f"spans go to {engine.flags[ENDPOINT]}, and none to vllmd",
                    "take the flag out, and give that address as traces.forward.endpoint",
                    ProblemSeverity.WARNING,
                )
        path = ("traces", "forward", "endpoint")
        if config.traces.sends_to_itself:
            fix = "give the address of another receiver, or take the key out"
            self._note(path, f"{config.traces.forward.endpoint} is vllmd's own address", fix)

    def _note(
        self,
        path: tuple[str, ...],
        message: str,
        fix: str,
        severity: ProblemSeverity = ProblemSeverity.ERROR,
    ) -> None:
        variable = self._variable(path)
        line = None if variable else lines.find_line(self._lines, path)
        problem = ConfigProblem(message, fix, ".".join(path), line, severity, variable)
        self._problems.append(problem)

    def _in_file(self, path: tuple[str, ...]) -> bool:
        return not self._given or lines.find_line(self._lines, path) is not None

    def _variable(self, path: tuple[str, ...]) -> str | None:
        """Return the variable that gave a key, or something of a table that no line has."""
        for end in range(len(path), 0, -1):
            if path[:end] in self._given:
                return self._given[path[:end]]
        around = path[:-1] if lines.find_line(self._lines, path) is None else path
        if path in self._lines:
            return None
        return next(
            (name for key, name in self._given.items() if key[: len(around)] == around), None
        )


def _shown(name: str, value: Any) -> str:
    # any of the headers may be a secret
    shown = repr(MASK if name == "headers" else masked(name, value))
    return shown if len(shown) <= 120 else shown[:117] + "..."
