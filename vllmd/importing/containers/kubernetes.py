"""Manifests of Kubernetes, as the containers of vLLM in them. Pure."""

from collections.abc import Iterator, Sequence
from typing import Any

from vllmd.importing.containers.pod import Cluster, specs_of_pod
from vllmd.importing.containers.spec import ContainerSpec
from vllmd.importing.surroundings import Notes
from vllmd.importing.unknown import Place
from vllmd.importing.yaml_values import Table, items_in, table_in, text_of

_TEMPLATES = frozenset({"Deployment", "StatefulSet", "DaemonSet", "ReplicaSet", "Job"})
_KSERVE = "it is of KServe: 'kubectl get deployment NAME -o yaml' is what it made"
_KNATIVE = "it is of Knative: write it as a Deployment: its template is the same"
_OF_KSERVE = frozenset({"InferenceService", "ServingRuntime", "ClusterServingRuntime"})
_UNREAD = {
    **dict.fromkeys(_OF_KSERVE, _KSERVE),
    "LLMInferenceService": _KSERVE,
    "LeaderWorkerSet": "it spreads one engine over several hosts, which vllmd does not",
    "Model": "it is of KubeAI: 'kubectl get pod NAME -o yaml' is what it made",
    "DynamoGraphDeployment": "it is of Dynamo, which has a server of its own",
    "RayService": "it spreads one engine over several hosts, which vllmd does not",
    "RayCluster": "it spreads one engine over several hosts, which vllmd does not",
    "Rollout": "write it as a Deployment: its template is the same",
    "CronJob": "a server is no CronJob",
    "Application": "it is of Argo CD: 'helm template' with its values writes the manifests",
    "HelmRelease": "it is of Flux: 'helm template' with its values writes the manifests",
}


_SCALES = frozenset({"HorizontalPodAutoscaler", "ScaledObject", "VerticalPodAutoscaler"})


def is_manifest(table: Table) -> bool:
    """Tell a manifest from other YAML."""
    return "apiVersion" in table and "kind" in table


def specs_of_manifests(tables: Sequence[Any], source: str, notes: Notes) -> list[ContainerSpec]:
    """Return the containers of vLLM in all pods; what is not read is refused."""
    objects = list(_objects(tables))
    cluster = Cluster(
        {_name(each): each for each in objects if text_of(each.get("kind")) == "ConfigMap"},
        {_name(each): each for each in objects if text_of(each.get("kind")) == "Secret"},
        source,
        notes,
    )
    found = []
    for each in objects:
        kind = text_of(each.get("kind")) or ""
        if kind in _UNREAD and (kind in _OF_KSERVE or "vllm" in str(each).lower()):
            notes.refuse(
                Place(source, each.at("kind")), f"kind {kind} is not read: {_UNREAD[kind]}"
            )
            continue
        if kind == "Service" and "knative" in (text_of(each.get("apiVersion")) or ""):
            notes.refuse(Place(source, each.at("kind")), f"kind Service is not read: {_KNATIVE}")
            continue
        if kind in _SCALES:
            notes.remark(f"left out: {kind} {_name(each)}: one engine is one of them")
        pod = table_in(each, "spec", "template", "spec") if kind in _TEMPLATES else table_in(each)
        if kind == "Pod":
            pod = table_in(each, "spec")
        elif kind not in _TEMPLATES:
            continue
        for spec in specs_of_pod(pod, _name(each), cluster):
            replicas = text_of(table_in(each, "spec").get("replicas"))
            spec.autostart = replicas != "0"
            if replicas not in (None, "0", "1"):
                spec.remark(f"replicas: {replicas}: this is one of them: import it on each host")
            _services(objects, each, spec)
            found.append(spec)
    return found


def _objects(tables: Sequence[Any]) -> Iterator[Table]:
    for each in tables:
        if not isinstance(each, Table):
            continue
        if text_of(each.get("kind")) == "List":
            yield from (one for one in items_in(each, "items") if isinstance(one, Table))
        else:
            yield each


def _name(table: Table) -> str:
    return text_of(table_in(table, "metadata").get("name")) or "vllm"


def _services(objects: Sequence[Table], owner: Table, spec: ContainerSpec) -> None:
    """Say at which ports a Service let others reach it."""
    labels = table_in(owner, "spec", "template", "metadata", "labels") or table_in(
        owner, "metadata", "labels"
    )
    for each in objects:
        selector = table_in(each, "spec", "selector")
        if text_of(each.get("kind")) != "Service" or not selector:
            continue
        if all(labels.get(key) == value for key, value in selector.items()):
            for port in items_in(each, "spec", "ports"):
                entry = table_in(port)
                outside = text_of(entry.get("nodePort")) or text_of(entry.get("port"))
                spec.remark(
                    f"the Service {_name(each)} had port {outside}: clients ask this host, at the "
                    "port of the engine"
                )
