"""The events of requests to the daemon, and of the sockets that they come by."""

import attrs

from vllmd.events.base import TypedEvent, omitted


@attrs.frozen(kw_only=True)
class RequestAccepted(TypedEvent):
    """Somebody asked for something, and it is done."""

    name = "request.accepted"
    engine_at = 1

    action: str
    adapter: str | None = omitted(None)
    user: str


@attrs.frozen(kw_only=True)
class RequestRefused(TypedEvent):
    """Somebody asked for something without the right to it."""

    name = "request.refused"
    level = "warning"
    engine_at = 2

    action: str
    user: str
    not_logged: int = omitted(0)


@attrs.frozen(kw_only=True)
class LoginRefused(TypedEvent):
    """Logins were refused; the last from that address."""

    name = "login.refused"
    level = "warning"

    count: int
    last_address: str


@attrs.frozen(kw_only=True)
class ControlSocketLost(TypedEvent):
    """The control socket is gone; it is created again."""

    name = "control_socket.lost"
    level = "warning"

    path: str
    problem: str | None = omitted(None)
    consequence: str | None = omitted(None)


@attrs.frozen(kw_only=True)
class ListenerExhausted(TypedEvent):
    """No connection can be taken: a limit of the system is reached."""

    name = "listener.exhausted"
    level = "warning"

    listener: str
    problem: str
    open: int
    times: int


@attrs.frozen(kw_only=True)
class PassThroughFailed(TypedEvent):
    """The metrics of an engine are missing on the page."""

    name = "pass_through.failed"
    level = "debug"

    reason: str
