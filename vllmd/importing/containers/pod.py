"""A pod of Kubernetes, as the containers of vLLM in it. Pure.

Source: the Kubernetes API, core/v1 PodSpec.
"""

import base64
import binascii
import re
from collections.abc import Iterator, Mapping
from typing import Any

import attrs

from vllmd.importing.containers.options import HEALTH, SHARED_MEMORY
from vllmd.importing.containers.spec import ContainerSpec, is_of_vllm
from vllmd.importing.launch import Mount
from vllmd.importing.surroundings import Notes
from vllmd.importing.unknown import Place, mark
from vllmd.importing.yaml_values import Table, items_in, table_in, text_of

_REFERENCE = re.compile(r"\$\((\w+)\)|\$\$")
_PROBES = ("livenessProbe", "readinessProbe", "startupProbe")
_READ = frozenset({"name", "image", "command", "args", "env", "envFrom", "workingDir", "resources"})
_READ |= {"volumeMounts", *_PROBES}
_OF_POD = frozenset({"containers", "volumes", "hostNetwork", "terminationGracePeriodSeconds"})
_OF_CLUSTER = ("nodeSelector", "affinity", "tolerations", "runtimeClassName", "initContainers")


@attrs.frozen
class Cluster:
    """The other objects of the same files, which pods refer to."""

    config_maps: Mapping[str, Table]
    secrets: Mapping[str, Table]
    source: str
    notes: Notes

    def secret(self, name: str, key: str) -> str | None:
        """Return a secret's value, if it is in the same files."""
        table = self.secrets.get(name)
        if table is None:
            return None
        plain = text_of(table_in(table, "stringData").get(key))
        if plain is not None:
            return plain
        try:
            encoded = text_of(table_in(table, "data").get(key)) or ""
            return base64.b64decode(encoded, validate=True).decode().strip() or None
        except (binascii.Error, UnicodeDecodeError):
            return None


def specs_of_pod(pod: Table, name: str, cluster: Cluster) -> Iterator[ContainerSpec]:
    """Yield the containers of a pod that are vLLM; `name` is that of what makes the pod."""
    volumes = {
        text_of(table_in(each).get("name")) or "": each
        for each in items_in(pod, "volumes")
        if isinstance(each, Table)
    }
    found = [each for each in items_in(pod, "containers") if isinstance(each, Table)]
    vllm = [each for each in found if _is_vllm(each)]
    for container in vllm:
        own = text_of(container.get("name")) or "vllm"
        spec = _spec(container, name if len(vllm) == 1 else own, cluster)
        spec.host_network = text_of(pod.get("hostNetwork")) == "true"
        for each in items_in(container, "volumeMounts"):
            _mount(table_in(each), volumes, spec)
            spec.files |= dict(_files(table_in(each), volumes, cluster))
        for key in _OF_CLUSTER:
            if key in pod:
                spec.remark(_about_pod(key, pod))
        if (grace := text_of(pod.get("terminationGracePeriodSeconds"))) is not None:
            spec.remark(f"terminationGracePeriodSeconds: {grace}: see drain_s and stop_grace_s")
        only = [key for key in pod if key not in _OF_POD and key not in _OF_CLUSTER]
        if only:
            spec.remark(f"of the pod only: {', '.join(only)}")
        others = [text_of(each.get("name")) or "?" for each in found if each not in vllm]
        if others:
            spec.remark(f"left out: other containers of the pod: {', '.join(others)}")
        yield spec


def _is_vllm(container: Table) -> bool:
    words = [str(each) for key in ("command", "args") for each in items_in(container, key)]
    return is_of_vllm(text_of(container.get("image")) or "", words)


def _about_pod(key: str, pod: Table) -> str:
    if key == "initContainers":
        names = ", ".join(text_of(table_in(e).get("name")) or "?" for e in items_in(pod, key))
        return f"left out: initContainers ({names}): what they prepare must be there before"
    return f"left out: {key}: which host it runs on is yours to choose"


def _spec(container: Table, name: str, cluster: Cluster) -> ContainerSpec:
    source = cluster.source
    key = "args" if "args" in container else "command"
    place = Place(source, container.at(key))
    spec = ContainerSpec(
        image=text_of(container.get("image")) or "without a name",
        place=place,
        name=name,
        cluster=True,
        folder=text_of(container.get("workingDir")),
    )
    _environment(spec, container, cluster)
    words = {key: [str(each) for each in items_in(container, key)] for key in ("command", "args")}
    for text in (*words["command"], *words["args"]):
        spec.used |= set(_REFERENCE.findall(text))
    spec.entrypoint = [_filled(each, spec.variables) for each in words["command"]] or None
    spec.command = [_filled(each, spec.variables) for each in words["args"]]
    limits = {
        **table_in(container, "resources", "requests"),
        **table_in(container, "resources", "limits"),
    }
    for resource, amount in limits.items():
        if "mig-" in resource:
            spec.remark(
                f"{resource}: {amount}: a slice of a GPU: set env.CUDA_VISIBLE_DEVICES to its UUID "
                "('nvidia-smi -L'): without it vLLM takes the first"
            )
        elif "gpu" in resource:
            spec.remark(
                f"{resource}: {amount}: which GPUs of the host these are, env.CUDA_VISIBLE_DEVICES "
                "may say; without it vLLM takes the first"
            )
        elif "/" in resource:
            spec.remark(f"left out: {resource}: {amount}: what the cluster had the host give")
        elif resource == "memory":
            spec.remark(f"left out: memory: {amount}: MemoryMax= of vllmd-engine@NAME sets that")
    only = [key for key in container if key not in _READ]
    if only:
        spec.remark(f"of the pod only: {', '.join(only)}")
    for each in items_in(container, "ports"):
        inside, outside = (text_of(table_in(each).get(k)) for k in ("containerPort", "hostPort"))
        if inside and outside and inside.isdigit() and outside.isdigit():
            address = text_of(table_in(each).get("hostIP")) or ""
            spec.published[int(inside)] = ("" if address == "0.0.0.0" else address, int(outside))
    if any(probe in container for probe in _PROBES):
        spec.remark(HEALTH.format("probes"))
    return spec


def _environment(spec: ContainerSpec, container: Table, cluster: Cluster) -> None:
    for each in items_in(container, "envFrom"):
        place = Place(cluster.source, getattr(each, "line", container.line))
        _all_of(table_in(each), spec, cluster, place)
    for each in items_in(container, "env"):
        entry = table_in(each)
        name = text_of(entry.get("name")) or ""
        place = Place(cluster.source, entry.line)
        value = text_of(entry.get("value"))
        if value is None and "valueFrom" in entry:
            value = _from(table_in(entry, "valueFrom"), name, cluster, place)
            if "secretKeyRef" in table_in(entry, "valueFrom"):
                spec.secret.add(name)
        if value is not None:
            spec.variables[name] = _filled(value, spec.variables)


def _all_of(entry: Table, spec: ContainerSpec, cluster: Cluster, place: Place) -> None:
    map_name = text_of(table_in(entry, "configMapRef").get("name")) or ""
    secret = text_of(table_in(entry, "secretRef").get("name")) or ""
    prefix = text_of(entry.get("prefix")) or ""
    if map_name in cluster.config_maps:
        for key, value in table_in(cluster.config_maps[map_name], "data").items():
            spec.variables[f"{prefix}{key}"] = text_of(value) or ""
    elif secret in cluster.secrets:
        table = cluster.secrets[secret]
        for key in (*table_in(table, "stringData"), *table_in(table, "data")):
            value = cluster.secret(secret, key)
            if value is not None:
                spec.variables[f"{prefix}{key}"] = value
                spec.secret.add(f"{prefix}{key}")
    else:
        kind, name = ("ConfigMap", map_name) if map_name else ("Secret", secret)
        cluster.notes.refuse(
            place,
            f"envFrom: the {kind} {name!r} is not in this file: put it there ('kubectl get "
            f"{kind.lower()} {name} -o yaml'), or its variables",
        )


def _from(entry: Table, name: str, cluster: Cluster, place: Place) -> str | None:
    """Return what a variable is taken from; None for what only a pod has."""
    for kind, table in (("secretKeyRef", "Secret"), ("configMapKeyRef", "ConfigMap")):
        reference = table_in(entry, kind)
        if not reference:
            continue
        owner, key = text_of(reference.get("name")) or "", text_of(reference.get("key")) or ""
        if kind == "secretKeyRef":
            value = cluster.secret(owner, key)
        else:
            value = text_of(table_in(cluster.config_maps.get(owner), "data").get(key))
        if value is not None:
            return value
        path = f"'{{.data.{key}}}'"
        how = f"kubectl get {table.lower()} {owner} -o jsonpath={path}"
        how += " | base64 -d" if kind == "secretKeyRef" else ""
        return mark(f"the {table} {owner}/{key}", f"it is not in this file; {how} shows it", place)
    cluster.notes.remark(f"left out: {name}: it is of the pod itself (valueFrom)")
    return None


def _filled(text: str, variables: Mapping[str, str]) -> str:
    """Put in ``$(NAME)``; one that is not set stays, as Kubernetes has it."""

    def value(found: re.Match[str]) -> str:
        if found[0] == "$$":
            return "$"
        return variables.get(found[1], found[0])

    return _REFERENCE.sub(value, text)


def _mount(entry: Table, volumes: Mapping[str, Any], spec: ContainerSpec) -> None:
    name, inside = text_of(entry.get("name")) or "", text_of(entry.get("mountPath")) or "/"
    below = text_of(entry.get("subPath"))
    volume = table_in(volumes.get(name))
    if inside.rstrip("/") == "/dev/shm":
        spec.remark(SHARED_MEMORY.format("/dev/shm"))
        return
    outside = text_of(table_in(volume, "hostPath").get("path"))
    claim = text_of(table_in(volume, "persistentVolumeClaim").get("claimName"))
    if outside is not None:
        outside = f"{outside.rstrip('/')}/{below}" if below else outside
        what = f"the folder {outside}"
    elif claim is not None:
        what = f"the claim {claim!r} of the cluster (--mount {inside}=FOLDER names its folder here)"
    else:
        kind = next((key for key in volume if key != "name"), "a volume")
        what = f"{kind} {name!r} of the pod (--mount {inside}=FOLDER names a folder here)"
    spec.mounts.append(Mount(inside.rstrip("/") or "/", outside, what))


def _files(entry: Table, volumes: Mapping[str, Any], cluster: Cluster) -> Iterator[tuple[str, str]]:
    """Yield the files that a mounted ConfigMap of the same manifests has, by their paths inside."""
    volume = table_in(volumes.get(text_of(entry.get("name")) or ""))
    inside = (text_of(entry.get("mountPath")) or "/").rstrip("/")
    below = text_of(entry.get("subPath"))
    sources = [volume, *(table_in(each) for each in items_in(volume, "projected", "sources"))]
    for source in sources:
        given = table_in(source, "configMap")
        data = table_in(cluster.config_maps.get(text_of(given.get("name")) or ""), "data")
        chosen = {
            text_of(table_in(each).get("key")) or "": text_of(table_in(each).get("path")) or ""
            for each in items_in(given, "items")
        }
        for key, value in data.items():
            path = chosen.get(key, "") if chosen else key
            if path and below in (None, path):
                yield (inside if below else f"{inside}/{path}"), text_of(value) or ""
