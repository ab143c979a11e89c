"""Manifests."""

import pytest

from vllmd.importing.containers.kubernetes import is_manifest, specs_of_manifests
from vllmd.importing.surroundings import Notes
from vllmd.importing.yaml_values import documents

DAEMON = "apiVersion: v1\nkind: DaemonSet\nmetadata: {name: a}\n"
POD = "{containers: [{name: vllm, image: vllm/vllm-openai}]}"


def names(text: str, notes: Notes | None = None) -> list[str]:
    tables = documents(text, "x")
    assert is_manifest(tables[0])
    return [each.name for each in specs_of_manifests(tables, "x", notes or Notes())]


@pytest.mark.parametrize(
    "text",
    [
        f"apiVersion: v1\nkind: Pod\nmetadata: {{name: a}}\nspec: {POD}\n",
        f"{DAEMON}spec: {{template: {{spec: {POD}}}}}\n",
        f"apiVersion: v1\nkind: List\nitems: [{{kind: Pod, metadata: {{name: a}}, spec: {POD}}}]\n",
    ],
)
def test_kinds_that_make_pods(text: str) -> None:
    assert names(text) == ["a"]


def test_kinds_that_are_not_read_are_refused_with_what_to_do() -> None:
    notes = Notes()
    text = "apiVersion: v1\nkind: InferenceService\nspec: {image: vllm}\n"
    assert names(text, notes) == []
    assert "kubectl get deployment NAME -o yaml" in notes.problems[0].text


def test_what_scales_pods_is_said() -> None:
    notes = Notes()
    text = f"{DAEMON}spec: {{template: {{spec: {POD}}}}}\n---\n"
    assert names(
        f"{text}apiVersion: v2\nkind: HorizontalPodAutoscaler\nmetadata: {{name: h}}\n", notes
    )
    assert any("left out: HorizontalPodAutoscaler h" in each for each in notes.remarks)
