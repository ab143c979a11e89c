"""`docker run`, and what runs containers in the same way. Pure.

Source: docker-run(1), podman-run(1).
"""

from collections.abc import Callable, Mapping, Sequence

import attrs

from vllmd.importing.containers.options import (
    HEALTH,
    OF_ANOTHER,
    RESTART,
    SHARED_MEMORY,
    assign,
    device,
    mount,
    publish,
    volume,
)
from vllmd.importing.containers.spec import ContainerSpec, gpus_of, is_of_vllm
from vllmd.importing.known_commands import CONTAINER_ENGINES
from vllmd.importing.surroundings import Notes, Surroundings, join
from vllmd.importing.unknown import Place, as_written, is_unknown, mark

_SHORT = {
    "-p": "publish",
    "-v": "volume",
    "-e": "env",
    "-w": "workdir",
    "-u": "user",
    "-h": "hostname",
}
_SHORT |= {"-m": "memory", "-l": "label", "-c": "cpu-shares", "-a": "attach"}
_FLAGS = frozenset(
    {"detach", "rm", "interactive", "tty", "init", "privileged", "publish-all", "read-only"}
    | {
        "oom-kill-disable",
        "no-healthcheck",
        "sig-proxy",
        "replace",
        "quiet",
        "disable-content-trust",
    }
    | {"tls-verify", "env-host", "http-proxy", "systemd", "rmi", "help", "no-hosts"}
)
_SHORT_FLAGS = frozenset("ditqP")
_SILENT = frozenset(
    {"detach", "rm", "interactive", "tty", "init", "label", "label-file", "attach", "cidfile"}
    | {"pull", "platform", "hostname", "quiet", "replace", "sig-proxy", "pidfile", "log-driver"}
    | {
        "log-opt",
        "network-alias",
        "restart",
        "runtime",
        "name",
        "expose",
        "net-alias",
        "stop-signal",
    }
    | {"detach-keys", "annotation", "conmon-pidfile", "cgroups", "sdnotify", "tz"}
    | {"group-add", "security-opt", "cap-add", "userns", "domainname", "tls-verify", "rmi"}
)
_KNOWN = frozenset(
    {"publish", "volume", "env", "workdir", "user", "memory", "cpus", "gpus", "device", "network"}
    | {"net", "ipc", "shm-size", "mount", "env-file", "entrypoint", "ulimit", "add-host", "dns"}
    | {"cpuset-cpus", "cpuset-mems", "cpu-shares", "memory-swap", "memory-swappiness", "tmpfs"}
    | {"health-cmd", "health-interval", "health-retries", "health-timeout", "health-start-period"}
    | {"oom-score-adj", "pids-limit", "pid", "uts", "cap-drop", "secret", "sysctl", "volumes-from"}
    | {
        "device-cgroup-rule",
        "cgroup-parent",
        "ip",
        "mac-address",
        "link",
        "isolation",
        "storage-opt",
        "stop-timeout",
    }
    | {"blkio-weight", "cpu-period", "cpu-quota", "memory-reservation", "kernel-memory", "pod"}
    | {
        "subuidname",
        "subgidname",
        "uidmap",
        "gidmap",
        "umask",
        "arch",
        "os",
        "variant",
        "hooks-dir",
    }
    | {
        "health-start-interval",
        "cpu-rt-period",
        "cpu-rt-runtime",
        "cgroupns",
        "authfile",
        "dns-search",
    }
    | _SILENT
)


@attrs.frozen
class _Reading:
    """One command line, as it is read."""

    spec: ContainerSpec
    around: Surroundings
    notes: Notes
    place: Place
    inherited: Mapping[str, str]


def arguments_of_run(words: Sequence[str]) -> list[str] | None:
    """Return what follows ``docker run``; None if it is another command."""
    if not words or words[0].rsplit("/", 1)[-1] not in CONTAINER_ENGINES:
        return None
    rest = list(words[1:])
    while rest and rest[0].startswith("-"):
        option = rest.pop(0)
        if option in (
            "--context",
            "-H",
            "--host",
            "--config",
            "--log-level",
            "-c",
            "--namespace",
            "-n",
        ):
            del rest[:1]
    if rest[:1] == ["container"]:
        del rest[0]
    return rest[1:] if rest[:1] in (["run"], ["create"]) else None


def spec_of(
    words: Sequence[str],
    place: Place,
    around: Surroundings,
    notes: Notes,
    inherited: Mapping[str, str],
) -> ContainerSpec | None:
    """Return what the words after ``docker run`` run; None if that is not vLLM, or is not read."""
    spec = ContainerSpec(image="", place=place)
    reading = _Reading(spec, around, notes, place, inherited)
    rest = list(words)
    options: list[tuple[str, str]] = []
    while rest and rest[0].startswith("-") and rest[0] != "-":
        taken = _option(rest)
        if taken is None:
            if is_of_vllm(" ".join(words), words):
                notes.refuse(
                    place,
                    f"the option {as_written(rest[0])} is not read, so that the image is not "
                    "known: take it out",
                )
            return None
        options += taken
    if not rest:
        return None
    spec.image, spec.command = rest[0], rest[1:]
    entrypoint = dict(options).get("entrypoint", "")
    if not is_of_vllm(spec.image, [entrypoint, *spec.command]):
        return None
    for name, value in sorted(options, key=lambda option: option[0] != "env-file"):
        _take(name, value, reading)  # files of variables first: --env goes before them
    only = dict.fromkeys(name for name, _ in options if name in _SILENT - {"name", "restart"})
    if only:
        spec.remark(f"of the container only: --{', --'.join(only)}")
    spec.settle_gpus()
    return spec


def _option(words: list[str]) -> list[tuple[str, str]] | None:
    """Take one option off; None if it is not known, so that what follows cannot be told."""
    word = words.pop(0)
    if word.startswith("--"):
        name, equals, value = word[2:].partition("=")
        if name in _FLAGS:
            return [] if value in ("false",) else [(name, value)]
        if name in _KNOWN and (equals or words):
            return [(name, value if equals else words.pop(0))]
    elif word[:2] in _SHORT:
        value = word[2:].removeprefix("=")
        if value or words:
            return [(_SHORT[word[:2]], value or words.pop(0))]
    elif set(word[1:]) <= _SHORT_FLAGS:
        return [("publish-all", "")] if "P" in word else []
    elif set(word[1:-1]) <= _SHORT_FLAGS and f"-{word[-1]}" in _SHORT and words:
        return [(_SHORT[f"-{word[-1]}"], words.pop(0))]
    words.insert(0, word)
    return None


def _take(name: str, value: str, reading: _Reading) -> None:
    taker = _TAKERS.get(name)
    spec = reading.spec
    if taker is not None:
        taker(value, reading)
    elif name == "restart" and value not in ("no", ""):
        spec.remark(RESTART.format(f"--restart {value}"))
    elif name.startswith("health-"):
        spec.remark(HEALTH.format("--health-…"))
    elif name not in _SILENT:
        spec.remark(
            f"left out: --{name} {as_written(value)}".rstrip()
            + ": of the container: 'systemctl edit vllmd-engine@NAME' sets limits of an engine"
        )


def _publish_all(_value: str, reading: _Reading) -> None:
    reading.notes.refuse(
        reading.place,
        "-P: which port of the host it has is chosen when it is run: write -p OUTSIDE:INSIDE",
    )


def _pod(value: str, reading: _Reading) -> None:
    reading.notes.refuse(reading.place, f"--pod {as_written(value)}: {OF_ANOTHER}")


def _network(value: str, reading: _Reading) -> None:
    if value.startswith("container:"):
        reading.notes.refuse(reading.place, f"--network {as_written(value)}: {OF_ANOTHER}")
    reading.spec.host_network = value == "host"
    if value != "host":
        reading.spec.remark(
            f"--network {as_written(value)}: other containers reach it by this host"
        )


def _gpus(value: str, reading: _Reading) -> None:
    if is_unknown(value):
        reading.notes.refuse(
            reading.place, f"--gpus {as_written(value)}: which these are is not known"
        )
        return
    reading.spec.gpus = gpus_of(value)


def _device(value: str, reading: _Reading) -> None:
    device(value, f"--device {as_written(value)}", reading.spec)


def _mount(value: str, reading: _Reading) -> None:
    options = dict(part.partition("=")[::2] for part in value.split(","))
    source = options.get("source") or options.get("src") or ""
    target = options.get("target") or options.get("dst") or options.get("destination") or ""
    if options.get("type") == "tmpfs" or not target:
        return
    mount(source or "without a name", target, reading.spec, reading.around, reading.place)


def _env_file(value: str, reading: _Reading) -> None:
    folder = reading.around.folder
    path = value if value.startswith("/") else join(folder or "", value)
    text = None if is_unknown(path) else reading.around.files.read(path)
    if text is None:
        reading.notes.refuse(
            reading.place,
            f"--env-file {as_written(value)} cannot be read here: run this where it can",
        )
        return
    for line in text.splitlines():  # nothing is quoted there. Source: docker-run(1), --env-file
        stripped = line.lstrip()
        if stripped and stripped[0] != "#":
            assign(stripped, reading.spec, dict(reading.inherited), reading.place)
            given = stripped.partition("=")[2]
            if given[:1] in ("'", '"') and given[-1:] == given[:1]:
                name = stripped.partition("=")[0]
                reading.spec.remark(
                    f"{name}: its quotes are a part of it: {value} has none to take off"
                )


def _user(value: str, reading: _Reading) -> None:
    reading.spec.remark(
        f"--user {as_written(value)}: engines run as user vllmd: let it read the model and the "
        "cache"
    )


def _secret(value: str, reading: _Reading) -> None:
    options = dict(part.partition("=")[::2] for part in value.split(","))
    target = options.get("target", "")
    name = target if options.get("type") == "env" and target else value.split(",", maxsplit=1)[0]
    if options.get("type") == "env":
        reading.spec.secret.add(name)
        reading.spec.variables[name] = mark(
            f"the secret {value.split(',', maxsplit=1)[0]}", "podman keeps it", reading.place
        )
    else:
        reading.spec.remark(f"left out: --secret {value}: it was a file in the container")


_TAKERS: Mapping[str, Callable[[str, _Reading], None]] = {
    "publish": lambda value, r: publish(value, r.spec, r.notes, r.place),
    "volume": lambda value, r: volume(value, r.spec, r.around, r.place),
    "env": lambda value, r: assign(value, r.spec, dict(r.inherited), r.place),
    "workdir": lambda value, r: setattr(r.spec, "folder", value),
    "name": lambda value, r: setattr(r.spec, "name", value),
    "entrypoint": lambda value, r: setattr(r.spec, "entrypoint", [value] if value else []),
    "network": _network,
    "pod": _pod,
    "publish-all": _publish_all,
    "net": _network,
    "gpus": _gpus,
    "device": _device,
    "mount": _mount,
    "env-file": _env_file,
    "user": _user,
    "secret": _secret,
    "ipc": lambda value, r: r.spec.remark(SHARED_MEMORY.format(f"--ipc={value}")),
    "stop-timeout": lambda value, r: r.spec.remark(
        f"--stop-timeout {value}: see drain_s and stop_grace_s"
    ),
    "shm-size": lambda value, r: r.spec.remark(SHARED_MEMORY.format(f"--shm-size {value}")),
}
