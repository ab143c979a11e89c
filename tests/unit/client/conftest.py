from collections.abc import Iterator

import pytest

from tests.helpers.providers import Provider, provider


@pytest.fixture
def server() -> Iterator[Provider]:
    with provider() as made:
        yield made


@pytest.fixture(autouse=True)
def no_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in (
        *("LLM_PROVIDER", "LLM_MODEL", "OPENAI_API_KEY", "OPENAI_BASE_URL", "ANTHROPIC_API_KEY"),
        *("ANTHROPIC_AUTH_TOKEN", "VLLM_BASE_URL", "VLLM_API_KEY", "VLLMD_READY_URL"),
    ):
        monkeypatch.delenv(name, raising=False)
