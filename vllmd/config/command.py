"""The exact command of an engine: what would be run, in which environment."""

import hashlib
import json
import os
import shutil
import sys
from collections.abc import Mapping
from functools import cached_property
from pathlib import Path

import attrs

from vllmd.config import engine_environment, flags, paths, preload
from vllmd.config.model import Config, EngineConfig
from vllmd.util.deadline import call_within
from vllmd.util.redact import MASK, masked

PACKAGE_PARENT = str(Path(__file__).parents[2])
_OF_A_HOST = frozenset({"--host", "--port", f"--{flags.ENDPOINT}"})
_VARIABLES_OF_A_HOST = frozenset({"CUDA_VISIBLE_DEVICES", "VLLM_HOST_IP", "PYTHONPATH"})


@attrs.frozen
class KeyFile:
    """A file of vLLM's `--config` with API keys: arguments can be read by every user of the host.

    Source: vLLM reads it itself; checked with the parser of 0.32.0 (tests/engine).
    """

    path: Path
    text: str = attrs.field(repr=False)


@attrs.frozen
class Command:
    """What to run; `argv[0]` is absolute where the program was found."""

    argv: tuple[str, ...]
    env: Mapping[str, str] = attrs.field(repr=False)
    own_env: Mapping[str, str] = attrs.field(repr=False)
    found: bool
    secret_variables: frozenset[str] = frozenset()
    """Those of `own_env` that came from files of secrets."""
    key_file: KeyFile | None = None
    """What is to be there when it starts."""
    weights: "Command | None" = None
    """What keeps the weights that it maps in GPU memory; None if it loads them itself."""

    @cached_property
    def hash(self) -> str:
        """A short fingerprint of the command and its own variables, to tell a change.

        What is inherited from the daemon stays out: it differs from one login to the next.
        """
        keys = [self.key_file.text] if self.key_file else []
        content = json.dumps([self.argv, sorted(self.own_env.items()), *keys])
        return hashlib.sha256(content.encode()).hexdigest()[:16]

    @cached_property
    def fingerprint(self) -> str:
        """The same for engines of several hosts that are to be alike; nothing secret is in it.

        Left out is what replicas differ in: addresses, ports, which GPUs, and the folder that this
        host has the program in.
        """
        words = [os.path.basename(self.argv[0]), *self.masked_argv()[1:]]
        kept = [
            word
            for before, word in zip(["", *words], words, strict=False)
            if before not in _OF_A_HOST and word not in _OF_A_HOST
        ]
        own = {k: v for k, v in self.masked_own_env().items() if k not in _VARIABLES_OF_A_HOST}
        content = json.dumps([kept, sorted(own.items())])
        return hashlib.sha256(content.encode()).hexdigest()[:16]

    @property
    def api_key(self) -> str | None:
        """The key that the engine's API wants; None if it wants none."""
        return self.env.get("VLLM_API_KEY")

    def masked_argv(self) -> list[str]:
        """Return the command as it may be shown."""
        return flags.masked_arguments(list(self.argv))

    def masked_own_env(self) -> dict[str, str]:
        """Return the engine's own variables as they may be shown."""
        return {
            name: MASK if name in self.secret_variables else masked(name, value)
            for name, value in self.own_env.items()
        }


Commands = Mapping[str, Command]
"""The command of each engine, by name."""


def python_path(inherited: Mapping[str, str] = os.environ) -> str:
    """Return a PYTHONPATH with which another Python finds vllmd and the libraries it has here."""
    others = inherited.get("PYTHONPATH", "").split(os.pathsep)
    return os.pathsep.join(dict.fromkeys([PACKAGE_PARENT, *filter(None, others)]))


def build_all(config: Config) -> Commands:
    """Build the commands of a configuration's engines."""
    traces, run = config.traces.endpoint, paths.run_dir(config)
    return {name: build(engine, traces=traces, run=run) for name, engine in config.engines.items()}


def build(
    engine: EngineConfig,
    inherited: Mapping[str, str] = os.environ,
    *,
    traces: str | None = None,
    run: Path | None = None,
) -> Command:
    """Build the command of an engine; `inherited` is the environment it starts from.

    `traces` is where spans are received, if they are: an engine that is to send them does. `run` is
    the daemon's folder for sockets, where weights are handed out.
    """
    traces = traces if flags.traced(engine) else None
    env = engine_environment.build(engine, inherited, traces)
    program, *leading = engine.executable
    if engine.is_stand_in:
        program, leading = sys.executable, ["-m", "vllmd.demo"]
    resolved = _resolve(program, env)
    own_env = engine_environment.own_variables(engine, traces)
    if engine.is_stand_in:  # a packaged vllmd is on nobody's default path
        own_env["PYTHONPATH"] = env["PYTHONPATH"] = python_path(inherited)
    start = (resolved or program, *leading)
    argv = (*start, *flags.arguments(engine, traces))
    run = run or Path(paths.default_run_dir(inherited))
    key_file = None
    if engine.api_keys:
        text = json.dumps({"api-key": engine.api_keys})  # JSON is YAML
        key_file = KeyFile(paths.api_keys(run, engine.name), text)
        argv = (*argv, "--config", str(key_file.path))
    command = Command(
        argv=argv,
        env=env,
        own_env=own_env,
        found=resolved is not None,
        secret_variables=engine.secret_variables,
        key_file=key_file,
    )
    if not engine.preload:
        return command
    folder = paths.weights_dir(run, engine.name)
    return attrs.evolve(
        command,
        argv=(*argv, *preload.engine_arguments(folder)),
        weights=attrs.evolve(
            command,
            key_file=None,
            argv=(*start, *preload.arguments(engine, folder)),
            env=preload.environment(command.env),
            own_env=preload.own_environment(command.own_env),
        ),
    )


def _resolve(program: str, env: Mapping[str, str]) -> str | None:
    """Find a program: among the engines that vllmd installed first, the system's before one's own.

    Last it is looked for beside the Python that runs vllmd: with the extra `engine`, it is there.

    A link `current` is followed to where it leads now: that is the command, so that a change of it
    is one.
    """
    path = env.get("PATH", os.defpath)
    if "/" not in program:
        prefixes = (paths.SYSTEM_ENGINES, paths.own_engines(env))
        beside = os.path.dirname(sys.executable)
        path = ":".join([*(f"{prefix}/current/bin" for prefix in prefixes), path, beside])
    try:
        return call_within(program, lambda: _found(program, path))
    except TimeoutError:  # nothing is started before it answers
        return os.path.abspath(program) if "/" in program else None


def _found(program: str, path: str) -> str | None:
    found = shutil.which(program, path=path)
    if found is None:
        return None
    whole = Path(os.path.abspath(found))
    if whole.parent.parent.name == "current":
        return str(whole.parent.resolve() / whole.name)
    return str(whole)
