"""The API key of the stand-in, as vLLM asks for it: below /v1 only (its `api_server.py`)."""

import os
import secrets

from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Receive, Scope, Send

VARIABLE = "VLLM_API_KEY"


class KeyRequired:
    """Answers 401 to who has not the key, if there is one."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app
        self._key = os.environ.get(VARIABLE)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass on what may pass."""
        guarded = scope["type"] == "http" and scope["path"].startswith("/v1")
        if not self._key or not guarded or self._is_known(scope):
            await self._app(scope, receive, send)
            return
        await JSONResponse({"error": "Unauthorized"}, 401)(scope, receive, send)

    def _is_known(self, scope: Scope) -> bool:
        given = dict(scope["headers"]).get(b"authorization", b"")
        return secrets.compare_digest(given, f"Bearer {self._key}".encode())
