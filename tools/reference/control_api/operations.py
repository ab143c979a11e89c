"""Every operation of the control socket: what is asked, and what may come of it."""

from collections.abc import Callable, Mapping, Sequence

import attrs

from tools.reference.control_api import answers
from tools.reference.control_api.schema import NUMBER, STRING, Schema
from vllmd.control.gpu import MAX_RELEASE_S
from vllmd.control.parameters import (
    MAX_EVENTS,
    MAX_ID,
    MAX_MOMENT_S,
    MAX_NAME_CHARS,
    MAX_NAMES,
    MAX_STARS,
    NAME_CHARS,
    NO,
    YES,
)
from vllmd.history.reading import LEVELS

MOMENT: Schema = {"type": "number", "minimum": 0, "maximum": MAX_MOMENT_S}
FLAG: Schema = {"type": "string", "enum": [*YES, *NO]}
PROBLEMS = {
    400: "a parameter is wrong",
    403: "who asks may not do that",
    404: "there is no such engine",
    409: "it cannot be done now",
    422: "it cannot be used",
    503: "a disk or a part of the daemon refuses",
}


@attrs.frozen
class Parameter:
    """One parameter of a query."""

    name: str
    schema: Schema
    about: str
    required: bool = False


@attrs.frozen
class Operation:
    """One question or request."""

    method: str
    path: str
    about: str
    answer: Callable[[], Schema]
    parameters: Sequence[Parameter] = ()
    problems: Sequence[int] = ()
    body: Schema | None = None

    @property
    def name(self) -> str:
        """What generated clients call it."""
        words = [word.strip("{}") for word in self.path.removeprefix("/v1/").split("/")]
        return "_".join([self.method.lower(), *words])


SINCE = Parameter("since", MOMENT, "seconds since the epoch")
UNTIL = Parameter("until", MOMENT, "seconds since the epoch")
SPAN = (attrs.evolve(SINCE, required=True), attrs.evolve(UNTIL, required=True))
NAMES: Schema = {"type": "array", "maxItems": MAX_NAMES}
API: Schema = {"type": "string", "maxLength": MAX_NAME_CHARS}
_PLAIN = NAME_CHARS.replace("*", "")
EVENT: Schema = {**API, "pattern": f"^[{_PLAIN}]*([*][{_PLAIN}]*){{0,{MAX_STARS}}}$"}
ABOVE_0: Schema = {"type": "number", "exclusiveMinimum": 0, "maximum": MAX_MOMENT_S}
FILTER = (
    SINCE,
    UNTIL,
    Parameter("engine", {"type": "string", "maxLength": MAX_NAME_CHARS}, "of this engine only"),
    Parameter("level", {"type": "string", "enum": list(LEVELS)}, "of this level or above"),
    Parameter(
        "names",
        {**NAMES, "items": EVENT},
        f"names of events or patterns such as `engine.*`, up to {MAX_NAMES} with commas between",
    ),
    Parameter(
        "after_id", {"type": "integer", "minimum": 0, "maximum": MAX_ID}, "only what came later"
    ),
    Parameter(
        "limit", {"type": "integer", "minimum": 1, "maximum": MAX_EVENTS}, "the newest so many"
    ),
)
ADAPTER: Schema = {
    "type": "object",
    "properties": {"name": STRING, "path": STRING},
    "required": ["name"],
    "examples": [{"name": "sql", "path": "/srv/adapters/sql"}],
}
OPTIONS: Mapping[str, Sequence[Parameter]] = {
    "stop": [
        Parameter("weights", {"type": "string", "enum": ["keep"]}, "weights stay in GPU memory")
    ],
    "sleep": [Parameter("level", {"type": "string", "enum": ["1", "2"]}, "how deep")],
}
ACTIONS = {
    "start": "Want an engine to run.",
    "stop": "Want an engine to end, once its requests are answered.",
    "restart": "Want an engine to end and to run again.",
    "sleep": "Want an engine to give its GPU memory back.",
    "wake": "Want an engine that sleeps to serve again.",
}
OF_ADAPTERS = {
    "add": "Want an adapter to be loaded.",
    "remove": "Want an adapter that was added no more.",
    "reload": "Have the files of an adapter read again.",
}
OPERATIONS: Sequence[Operation] = (
    Operation(
        "GET",
        "/v1/status",
        "All that is known now.",
        answers.status,
        [Parameter("series", FLAG, "with ten minutes of figures")],
        [400],
    ),
    Operation("GET", "/v1/events", "Events of the history.", answers.events, FILTER, [400, 503]),
    Operation("GET", "/v1/traces", "The slowest requests.", answers.traces),
    Operation(
        "GET",
        "/v1/cost",
        "What each engine cost.",
        answers.costs,
        [
            *SPAN,
            Parameter(
                "compare", {**NAMES, "items": API}, "APIs of the configuration, commas between"
            ),
        ],
        [400],
    ),
    Operation(
        "GET",
        "/v1/advise",
        "What each engine has shown, and which changes follow.",
        answers.advice,
        [*SPAN, Parameter("first_token_s", ABOVE_0, "what the first token may take", True)],
        [400],
    ),
    Operation("GET", "/v1/why", "The story of each failure.", answers.stories, (), [503]),
    Operation(
        "POST",
        "/v1/probe/{engine}",
        "Have an engine's answers looked at now.",
        answers.probe,
        [Parameter("record", FLAG, "take them for right")],
        [400, 403, 404, 409, 422],
    ),
    Operation(
        "POST",
        "/v1/reload",
        "Read the configuration again.",
        answers.plan,
        [Parameter("apply", FLAG, "restart the engines that need it")],
        [400, 403, 422],
    ),
    Operation(
        "POST",
        "/v1/logs/{engine}/rotate",
        "Begin a new file of an engine's log.",
        answers.rotated,
        (),
        [403, 404, 503],
    ),
    Operation("GET", "/v1/gpu", "The GPUs, and whose processes are on them.", answers.gpus),
    Operation(
        "POST", "/v1/gpu/reap", "Kill orphans that hold GPU memory.", answers.reaped, (), [403]
    ),
    Operation(
        "POST",
        "/v1/gpu/release",
        "Let go of the GPUs for a while; 0 ends that.",
        answers.released,
        [
            Parameter(
                "seconds", {**NUMBER, "minimum": 0, "maximum": MAX_RELEASE_S}, "for how long", True
            )
        ],
        [400, 403],
    ),
    Operation("GET", "/v1/lora", "The adapters of each engine.", answers.adapters),
    *(
        Operation(
            "POST",
            f"/v1/lora/{{engine}}/{action}",
            about,
            answers.adapters_of_engine,
            (),
            [400, 403, 404, 503],
            ADAPTER,
        )
        for action, about in OF_ADAPTERS.items()
    ),
    *(
        Operation(
            "POST",
            f"/v1/engines/{{engine}}/{action}",
            about,
            answers.engine,
            OPTIONS.get(action, ()),
            [*([400] if action in OPTIONS else []), 403, 404, 409],
        )
        for action, about in ACTIONS.items()
    ),
)
