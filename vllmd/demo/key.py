"""The API key of the stand-in, as vLLM asks for it: below /v1 only (its `api_server.py`)."""

import os
import secrets
from collections.abc import Sequence

from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Receive, Scope, Send

VARIABLE = "VLLM_API_KEY"


class KeyRequired:
    """Answers 401 to who has none of the keys, if there are any; those given go first."""

    def __init__(self, app: ASGIApp, keys: Sequence[str] = ()) -> None:
        self._app = app
        self._keys = [key for key in (keys or [os.environ.get(VARIABLE, "")]) if key]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass on what may pass."""
        guarded = scope["type"] == "http" and scope["path"].startswith("/v1")
        if not self._keys or not guarded or self._is_known(scope):
            await self._app(scope, receive, send)
            return
        await JSONResponse({"error": "Unauthorized"}, 401)(scope, receive, send)

    def _is_known(self, scope: Scope) -> bool:
        given = dict(scope["headers"]).get(b"authorization", b"")
        wanted = (f"Bearer {key}".encode() for key in self._keys)
        return any(secrets.compare_digest(given, each) for each in wanted)
