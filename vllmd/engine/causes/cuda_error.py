"""A CUDA call failed in a way that tells no more."""

from vllmd import xids
from vllmd.engine.causes.base import Cause, Kind
from vllmd.xids import Action

CAUSE = Cause(
    name="cuda_error",
    kind=Kind.TRANSIENT,
    explanation="A CUDA call failed; the process that made it cannot use the GPU any longer.",
    advice=(
        "If it comes again, look at 'vllmd gpu' for an Xid and run with CUDA_LAUNCH_BLOCKING=1."
    ),
    signatures=(r"CUDA error: ",),
    marks=xids.marks(Action.RESTART),
)
