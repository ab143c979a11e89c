"""Containers of a pod."""

import base64

from vllmd.importing.containers.pod import Cluster, specs_of_pod
from vllmd.importing.containers.spec import ContainerSpec
from vllmd.importing.surroundings import Notes
from vllmd.importing.unknown import is_unknown
from vllmd.importing.yaml_values import documents

ENCODED = base64.b64encode(b"hf_x\n").decode()
OBJECTS = f"data: {{token: {ENCODED}, bad: '*'}}\n---\ndata: {{MODEL: org/m}}\n"


def read(container: str, notes: Notes | None = None, pod: str = "") -> ContainerSpec:
    secret, config = documents(OBJECTS, "x")
    (table,) = documents(f"containers:\n- image: vllm/vllm-openai\n{container}{pod}", "x")
    cluster = Cluster({"c": config}, {"s": secret}, "x", notes or Notes())
    (spec,) = specs_of_pod(table, "llm", cluster)
    return spec


def test_references_are_filled_and_no_variables_of_the_engine() -> None:
    spec = read("  args: [$(M), $(NO), $$(M)]\n  env: [{name: M, value: org/m}]\n")
    assert spec.command == ["org/m", "$(NO)", "$(M)"]
    assert "M" in spec.used


def test_secrets_and_maps_of_the_same_file_are_known() -> None:
    reference = "{name: A, valueFrom: {secretKeyRef: {name: s, key: token}}}"
    other = "{name: B, valueFrom: {secretKeyRef: {name: s, key: bad}}}"
    spec = read(f"  env: [{reference}, {other}]\n  envFrom: [{{configMapRef: {{name: c}}}}]\n")
    assert (spec.variables["A"], spec.variables["MODEL"]) == ("hf_x", "org/m")
    assert is_unknown(spec.variables["B"])


def test_map_of_another_file_is_refused() -> None:
    notes = Notes()
    read("  envFrom: [{configMapRef: {name: other}}]\n", notes)
    assert "the ConfigMap 'other' is not in this file" in notes.problems[0].text


def test_volumes_are_those_of_the_host_or_named() -> None:
    mounts = "  volumeMounts: [{name: a, mountPath: /a}, {name: b, mountPath: /b}]\n"
    volumes = "volumes: [{name: a, hostPath: {path: /srv}}, {name: b, emptyDir: {}}]\n"
    spec = read(mounts, pod=volumes)
    assert [(each.inside, each.outside) for each in spec.mounts] == [("/a", "/srv"), ("/b", None)]


def test_files_of_a_mounted_map_are_known() -> None:
    mounts = (
        "  volumeMounts: [{name: v, mountPath: /c}, {name: v, mountPath: /m, subPath: MODEL}]\n"
    )
    volumes = "volumes: [{name: v, configMap: {name: c}}]\n"
    assert read(mounts, pod=volumes).files == {"/c/MODEL": "org/m", "/m": "org/m"}
    chosen = "volumes: [{name: v, configMap: {name: c, items: [{key: MODEL, path: x/y}]}}]\n"
    mounts = "  volumeMounts: [{name: v, mountPath: /c}]\n"
    assert read(mounts, pod=chosen).files == {"/c/x/y": "org/m"}
    projected = "volumes: [{name: v, projected: {sources: [{configMap: {name: c}}]}}]\n"
    assert read(mounts, pod=projected).files == {"/c/MODEL": "org/m"}


def test_port_of_the_host_is_published() -> None:
    spec = read(
        "  ports: [{containerPort: 8000, hostPort: 8080, hostIP: ::1}, {containerPort: 9}]\n"
    )
    assert spec.published == {8000: ("::1", 8080)}


def test_what_the_pod_says_beside_its_containers_is_said() -> None:
    spec = read("  args: [m]\n", pod="terminationGracePeriodSeconds: 300\nhostPID: true\n")
    said = "\n".join(spec.remarks)
    assert "terminationGracePeriodSeconds: 300: see drain_s" in said
    assert "of the pod only: hostPID" in said
