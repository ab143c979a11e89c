"""A signal from outside ended the API server."""

from vllmd.engine.causes.base import Cause, Kind

CAUSE = Cause(
    name="killed",
    kind=Kind.OPERATOR,
    explanation="A signal from outside ended it: a person, a script, or the kernel's OOM killer.",
    advice="If nobody sent it, look for the OOM killer: journalctl -k -g oom.",
    signatures=(r"API server: shutdown triggered",),
    labels=frozenset({"SIGKILL", "SIGTERM", "SIGINT"}),
)
