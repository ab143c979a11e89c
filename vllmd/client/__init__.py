"""What an application imports: one interface to a local vLLM and to paid APIs.

``pip install "vllmd[client] @ git+…"``, or with a wheel of a release: the name on PyPI is not ours.

    from vllmd.client import get_client

    client = get_client()          # LLM_PROVIDER=openai, anthropic or vllm
    print(client.chat([{"role": "user", "content": "hello"}]).text)
"""

from vllmd.client.costs import CostTracker
from vllmd.client.factory import PROVIDERS, get_client
from vllmd.client.interface import (
    Client,
    Message,
    ProviderError,
    Reply,
    Stream,
    TokenUsage,
)

__all__ = [
    "PROVIDERS",
    "Client",
    "CostTracker",
    "Message",
    "ProviderError",
    "Reply",
    "Stream",
    "TokenUsage",
    "get_client",
]
