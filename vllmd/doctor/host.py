"""The host as checks see it: what the daemon knows, and what can be read without it."""

import contextlib
import csv
import os
import resource
import socket
import stat
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import attrs

from vllmd.config import paths
from vllmd.config.model import Config
from vllmd.doctor.account import UserAccount, of_engines
from vllmd.doctor.case import HostFacts
from vllmd.doctor.compute import Capability
from vllmd.doctor.control_groups import read_cpus, read_memory
from vllmd.doctor.disks import disks, leftovers
from vllmd.doctor.seen import GpuFacts
from vllmd.doctor.service import Service, clock_is_kept
from vllmd.engine.probes.port import listener_on, owned_by_tree
from vllmd.gpu import host_memory
from vllmd.installing.nvidia_driver import driver_version, query
from vllmd.shim import proc
from vllmd.util.redact import secrets_in_value
from vllmd.util.units import MIB

CREDENTIALS = Path("/etc/vllmd/credentials")
SHARED_MEMORY = "/dev/shm"
CONNECT_S = 0.3
_NOT_TOLD = ("[N/A]", "[Not Supported]")
"""What nvidia-smi says of a GPU whose memory is the host's. Seen on a GB10."""
_QUERY = "memory.total,memory.reserved,memory.free,uuid"


def look(
    config: Config,
    status: Mapping[str, Any] | None,
    gpus: Mapping[str, Any] | None,
    env: Mapping[str, str] = os.environ,
    service: Service | None = None,
) -> HostFacts:
    """Return the host; `status` and `gpus` are the daemon's answers, None where none runs.

    `env` is what an engine would inherit, `service` what systemd would give it.
    """
    engines = (status or {}).get("engines", ())
    pids = {each["name"]: each["pid"] for each in engines if each.get("pid")}
    account = of_engines(unit=service is not None)
    pid = next(iter(pids.values()), None)
    group = Path(f"/proc/{pid or 'self'}/cgroup")
    memory, cpus = read_memory(group), read_cpus(pid or 0, group)
    driver = driver_version()
    return HostFacts(
        gpus=read_gpus(gpus),
        unread_gpus=any(not each.get("values") for each in (gpus or {}).get("gpus", ())),
        shared_memory_bytes=_shared_memory(),
        open_files=service.open_files if service else _limit(resource.RLIMIT_NOFILE),
        running=frozenset(pids),
        in_use=dict(_in_use(config, pids)),
        driver=driver,
        disabled_rows=tuple(_disabled_rows(gpus or {})),
        persistent=persistence() if driver else None,
        closed_devices=tuple(closed_devices(account)) if driver else (),
        gpu_nodes=gpu_nodes() if driver else None,
        in_container=in_container(env),
        locked_memory_bytes=(
            service.locked_memory_bytes if service else _limit(resource.RLIMIT_MEMLOCK)
        ),
        memory_bytes=memory.available if memory else None,
        memory_limited=bool(memory and memory.limited),
        cpus=cpus.available if cpus else None,
        cpus_limited=bool(cpus and cpus.limited),
        disks=disks(config, env),
        synchronized=clock_is_kept(),
        stop_s=service.stop_s if service else None,
        readable_secrets=tuple(readable_secrets(config)),
        writable_folders=tuple(writable(config)),
        leftovers=tuple(leftovers(env, paths.engine_prefix(env))),
    )


def persistence(program: str = "nvidia-smi") -> bool | None:
    """Tell whether all GPUs are in persistence mode; None if nobody can say."""
    try:
        said = query("persistence_mode", program)
    except FileNotFoundError:
        return None
    modes = [line.strip() for line in (said or "").splitlines() if line.strip()]
    return all(mode == "Enabled" for mode in modes) if modes else None


def closed_devices(account: UserAccount, folder: Path = Path("/dev")) -> Iterator[str]:
    """Yield the driver's nodes that a user may not open for reading and writing."""
    gpus = sorted(folder.glob("nvidia[0-9]*")) or [folder / "nvidia0"]
    for node in (folder / "nvidiactl", folder / "nvidia-uvm", *gpus):
        try:
            if not account.may(node, stat.S_IROTH) or not account.may(node, stat.S_IWOTH):
                yield f"{node} (user {account.name} may not open it)"
        except OSError:
            yield f"{node} (missing)"


def gpu_nodes(folder: Path = Path("/dev")) -> int | None:
    """Return how many GPUs have a device file here; None if none has (a Jetson, WSL)."""
    return len(list(folder.glob("nvidia[0-9]*"))) or None


def in_container(env: Mapping[str, str], root: Path = Path("/")) -> bool:
    """Tell whether this is a container, as Docker, Podman and Kubernetes mark theirs."""
    marks = ("NVIDIA_VISIBLE_DEVICES", "KUBERNETES_SERVICE_HOST", "container")
    files = (root / ".dockerenv", root / "run/.containerenv")
    return any(name in env for name in marks) or any(file.exists() for file in files)


def readable_secrets(config: Config, credentials: Path = CREDENTIALS) -> Iterator[str]:
    """Yield files with secrets that every user of the host may read."""
    tables = [table for each in config.engines.values() for table in (each.env, each.flags)]
    secret = any(any(secrets_in_value(n, v)) for table in tables for n, v in table.items())
    files = [Path(config.path)] if config.path and secret else []
    if config.daemon.web_config_file:
        files.append(Path(config.daemon.web_config_file))
    with contextlib.suppress(OSError):
        files += sorted(path for path in credentials.iterdir() if path.is_file())
    yield from (str(path) for path in files if _others_may(path, stat.S_IROTH))


def writable(config: Config) -> Iterator[str]:
    """Yield folders of vllmd that every user of the host may write to.

    The control socket is none of them: everybody may look, and who may act is asked of the kernel.
    """
    for path in (paths.run_dir(config), *paths.written(config).values()):
        if _others_may(path, stat.S_IWOTH):
            yield str(path)


def _others_may(path: Path, bit: int) -> bool:
    try:
        return bool(path.stat().st_mode & bit)
    except OSError:
        return False


def _limit(kind: int) -> int | None:
    hard = resource.getrlimit(kind)[1]
    return None if hard == resource.RLIM_INFINITY else hard


def _from_daemon(gpus: Mapping[str, Any] | None) -> tuple[GpuFacts, ...] | None:
    """Return the GPUs that the daemon reads; None if it reads none. An odd one hides no other."""
    found = []
    for each in (gpus or {}).get("gpus", ()):
        values = each.get("values", {})
        try:
            total, reserved, free = (
                int(values[f"memory_{name}_bytes"]) for name in ("total", "reserved", "free")
            )
        except KeyError:
            continue
        uuid, parent = (str(each.get(key) or "") for key in ("uuid", "parent"))
        unified = bool(each.get("unified"))
        found.append(GpuFacts(total, reserved, free, unified=unified, uuid=uuid, parent=parent))
    return tuple(found) or None


def _disabled_rows(gpus: Mapping[str, Any]) -> Iterator[str]:
    labels = {each.get("uuid"): f"GPU {each.get('gpu')}" for each in gpus.get("gpus", ())}
    for each in gpus.get("reader", {}).get("disabled_rows", ()):
        yield f"{each['row']} of {labels.get(each['uuid'], 'all GPUs')}"


def ask_nvidia_smi(program: str = "nvidia-smi") -> tuple[GpuFacts, ...] | None:
    """Return the GPUs by nvidia-smi: none where it is not installed, None if it fails."""
    try:
        said = query(_QUERY, program, units=False)
    except FileNotFoundError:
        return ()
    if said is None:
        return None
    rows = [[cell.strip() for cell in row] for row in csv.reader(said.splitlines()) if row]
    found = [fact for row in rows if (fact := _from_row(row)) is not None]
    return tuple(found) if found or not rows else None


def _from_row(row: Sequence[str]) -> GpuFacts | None:
    """Return one GPU of nvidia-smi's; None if its memory cannot be told. Sizes are MiB."""
    sizes, uuid = row[:3], "".join(row[3:4])
    if all(cell in _NOT_TOLD for cell in sizes) and (host := host_memory.read()) is not None:
        return GpuFacts(host.total, 0, host.available, unified=True, uuid=uuid)
    try:
        total, reserved, free = (int(cell) * MIB for cell in sizes)
        return GpuFacts(total, reserved, free, uuid=uuid)
    except ValueError:
        return None


def read_gpus(daemon: Mapping[str, Any] | None = None) -> tuple[GpuFacts, ...] | None:
    """Return the GPUs, by the daemon's answer where there is one; None if nobody can say."""
    return _with_capabilities(_from_daemon(daemon) or ask_nvidia_smi())


def _with_capabilities(gpus: tuple[GpuFacts, ...] | None) -> tuple[GpuFacts, ...] | None:
    """Add what nvidia-smi says; where its GPUs are others (MIG), only what is the same for all."""
    if not gpus:
        return gpus
    found = ask_capabilities()
    if len(set(found)) == 1:
        found = found[:1] * len(gpus)
    if len(found) != len(gpus):
        return gpus
    return tuple(attrs.evolve(gpu, capability=has) for gpu, has in zip(gpus, found, strict=True))


def ask_capabilities(program: str = "nvidia-smi") -> list[Capability]:
    """Return the GPUs' compute capabilities by nvidia-smi, in order; none if it does not say.

    Source: `compute_cap` of nvidia-smi, from driver 510 on.
    """
    try:
        said = query("compute_cap", program, units=False)
    except FileNotFoundError:
        return []
    try:
        pairs = [line.strip().split(".") for line in (said or "").splitlines() if line.strip()]
        return [(int(major), int(minor)) for major, minor in pairs]
    except ValueError:
        return []


def _shared_memory() -> int | None:
    try:
        found = os.statvfs(SHARED_MEMORY)
    except OSError:
        return None
    return found.f_blocks * found.f_frsize


def _in_use(config: Config, pids: Mapping[str, int]) -> Iterator[tuple[tuple[str, int], str]]:
    """Yield addresses of engines at which somebody else answers, and who, if that can be seen.

    `pids` are the engines that run, by name; a port of theirs is theirs unless it is known not to
    be.
    """
    for engine in config.engines.values():
        host = "127.0.0.1" if engine.host in ("0.0.0.0", "::") else engine.host
        with contextlib.suppress(OSError):
            socket.create_connection((host, engine.port), timeout=CONNECT_S).close()
            pid = pids.get(engine.name)
            if pid is None or _listens(pid, engine.port) is False:
                yield (engine.host, engine.port), listener_on(engine.port) or ""


def _listens(pid: int, port: int) -> bool | None:
    """Tell whether an engine's processes listen there: its shim is above them all."""
    process = proc.read_stat(pid)
    return owned_by_tree(process.ppid, port) if process else None
