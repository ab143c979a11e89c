"""What the control socket answers when it does not do what it was asked for."""

import structlog
from starlette.responses import JSONResponse

from vllmd import events
from vllmd.control.peer import Peer

_log = structlog.get_logger()


def error(code: int, message: str) -> JSONResponse:
    """Answer with a sentence that can be shown as it is."""
    return JSONResponse({"error": message}, status_code=code)


def refused(peer: Peer, action: str, what: str, **about: str) -> JSONResponse:
    """Answer somebody who has no right to do that, and log it."""
    _log.warning(events.REQUEST_REFUSED, action=action, user=peer.describe(), **about)
    message = (
        f"user {peer.describe()} may not {action} {what}: be root, "
        "or join the group vllmd (sudo usermod -aG vllmd USER, then log in again)"
    )
    return error(403, message)
