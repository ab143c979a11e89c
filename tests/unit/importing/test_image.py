"""What an image is."""

import pytest

from vllmd.importing.image import serves, version_of


@pytest.mark.parametrize(
    ("image", "version"),
    [
        ("vllm/vllm-openai:v0.8.5", "0.8.5"),
        ("docker.io/vllm/vllm-openai:v0.8.5.post1", "0.8.5.post1"),
        ("vllm/vllm-openai:v0.25.1-cu129", "0.25.1"),
        ("registry:5000/vllm/vllm-openai:v0.25.1@sha256:aa", "0.25.1"),
        ("vllm/vllm-openai:latest", None),
        ("vllm/vllm-openai", None),
        ("example.org/chat:v0.9.1", None),
        ("vllm/vllm-openai-rocm:v0.30.0", "0.30.0"),
        ("public.ecr.aws/q9t5s3a7/vllm-cpu-release-repo:v0.25.1", "0.25.1"),
        ("nvcr.io/nvidia/vllm:26.02-py3", None),
        ("lmcache/vllm-openai:v0.5.4", None),
        ("docker.io/lmcache/vllm-openai:v0.5.4", None),
        ("registry.redhat.io/rhaiis/vllm-cuda-rhel9:3.2.3", None),
    ],
)
def test_version(image: str, version: str | None) -> None:
    assert version_of(image) == version


@pytest.mark.parametrize(
    ("image", "is_server"),
    [
        ("vllm/vllm-openai:v0.8.5", True),
        ("vllm/vllm-openai-rocm:latest", True),
        ("public.ecr.aws/q9t5s3a7/vllm-cpu-release-repo:v0.25.1", True),
        ("rocm/vllm:latest", False),
        ("example.org/my-llm", False),
        ("somebody/vllm-server", False),
    ],
)
def test_entrypoint(image: str, is_server: bool) -> None:
    assert serves(image) is is_server
