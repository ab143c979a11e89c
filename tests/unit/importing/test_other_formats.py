"""Forms that are not read, and what is said of each."""

import pytest

from vllmd.importing.other_formats import refusal, refusal_of_yaml
from vllmd.importing.yaml_values import documents


@pytest.mark.parametrize(
    ("name", "text", "said"),
    [
        ("/x/Makefile", "", "make -n TARGET"),
        ("/x/gpu.mk", "", "make -n TARGET"),
        ("/x/justfile", "", "just -n"),
        ("/x/run.ps1", "", "PowerShell"),
        ("/x/a.nix", "", "NixOS"),
        ("/x/a.nomad.hcl", "", "Nomad"),
        ("/x/main.tf", "", "Terraform"),
        ("/x/ecosystem.config.cjs", "", "pm2"),
        ("/x/serve.py", "", "Python"),
        ("", "FROM vllm/vllm-openai\nCMD x\n", "Dockerfile"),
    ],
)
def test_file_that_is_not_read_says_what_to_import(name: str, text: str, said: str) -> None:
    assert said in (refusal(text, name) or "")


@pytest.mark.parametrize("name", ["/x/Makefile/run.sh", "/x/serve.sh", "", "/x/a.yaml"])
def test_other_files_may_be_read(name: str) -> None:
    assert refusal("vllm serve m", name) is None


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("resources: {ports: 1}\nrun: vllm serve m", "SkyPilot"),
        ("applications: [{name: x}]", "Ray Serve"),
        ("llm_configs: [{name: x}]", "Ray Serve"),
        ("type: service\ncommands: [vllm serve m]", "dstack"),
        ("jobs: {x: {steps: []}}", "CI"),
        ("- {name: x, hosts: all}", "Ansible"),
        ("models: {m: {cmd: vllm serve m}}", "llama-swap"),
        ("tasks: {run: {cmds: [vllm serve m]}}", "Taskfile"),
    ],
)
def test_yaml_that_is_not_read_says_what_to_import(text: str, said: str) -> None:
    (found,) = documents(text, "x")
    assert said in (refusal_of_yaml(found) or "")


@pytest.mark.parametrize("text", ["services: {x: {image: y}}", "model: m\nport: 1", "- a", "x"])
def test_other_yaml_may_be_read(text: str) -> None:
    (found,) = documents(text, "x")
    assert refusal_of_yaml(found) is None


def test_services_of_openrc_are_told_by_their_first_line() -> None:
    assert "OpenRC" in (refusal("#!/sbin/openrc-run\ncommand=x\n", "/etc/init.d/vllm") or "")
    assert "Procfile" in (refusal("web: vllm serve m\n", "/x/Procfile.dev") or "")


def test_quadlet_of_manifests_names_them() -> None:
    said = refusal("[Unit]\nA=1\n[Kube]\n# x\nYaml=pod.yaml\n", "/x/vllm.kube") or ""
    assert "import pod.yaml" in said
