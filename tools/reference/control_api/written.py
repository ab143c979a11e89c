"""The description as a document of OpenAPI, and as a page."""

import json
from collections.abc import Iterator
from typing import Any

from tools.reference.control_api import answers
from tools.reference.control_api.operations import OPERATIONS, PROBLEMS, Operation
from tools.reference.markdown import code, page, plain, table
from vllmd.control.peer import GROUP

ABOUT = f"""\
The daemon answers HTTP on the socket `control.sock` in its `run_dir`, in JSON. The kernel says
who asks: everybody on the host may look; only root, the daemon's user and the group `{GROUP}` may
change anything. Every refusal is an object with `error`, a sentence. The same is a document of
OpenAPI 3.1, from which clients can be generated: {{download}}`control-api.json`. A new key may come
with any version; none goes, and none changes its meaning, within `/v1`.

    curl --unix-socket /run/vllmd/control.sock http://vllmd/v1/status
"""
JSON = "application/json"


def openapi() -> str:
    """Return the document."""
    document: dict[str, Any] = {
        "openapi": "3.1.0",
        "info": {
            "title": "vllmd: the control socket",
            "version": "1",
            "description": "JSON over HTTP on a Unix socket; the peer's credentials decide.",
        },
        "servers": [{"url": "http://vllmd"}],
        "paths": {},
        "components": {"schemas": {each.answer.__name__: each.answer() for each in OPERATIONS}},
    }
    document["components"]["schemas"]["error"] = answers.error()
    for each in OPERATIONS:
        document["paths"].setdefault(each.path, {})[each.method.lower()] = _operation(each)
    return json.dumps(document, indent=1) + "\n"


def _operation(each: Operation) -> dict[str, Any]:
    refusal = _content("error")
    said = {
        str(code): {"description": PROBLEMS[code], "content": refusal} for code in each.problems
    }
    good = {"description": each.about, "content": _content(each.answer.__name__)}
    parameters: list[dict[str, Any]] = [
        {
            "name": p.name,
            "in": "query",
            "required": p.required,
            "description": p.about,
            "schema": p.schema,
            **({"style": "form", "explode": False} if p.schema["type"] == "array" else {}),
        }
        for p in each.parameters
    ]
    if "{engine}" in each.path:
        named = {"name": "engine", "in": "path", "required": True}
        parameters.insert(0, {**named, "schema": {"type": "string", "minLength": 1}})
    made: dict[str, Any] = {
        "operationId": each.name,
        "summary": each.about,
        "parameters": parameters,
        "responses": {"200": good, **said},
    }
    if each.body is not None:
        made["requestBody"] = {"required": True, "content": {JSON: {"schema": each.body}}}
    return made


def _content(schema: str) -> dict[str, Any]:
    return {JSON: {"schema": {"$ref": f"#/components/schemas/{schema}"}}}


def control() -> str:
    """Return the page."""
    head = ["asked", "what", "parameters", "refused with"]
    refusals = table(["status", "why"], ([str(n), plain(why)] for n, why in PROBLEMS.items()))
    return page("The control socket", ABOUT, [table(head, _rows()), "## Refusals", refusals])


def _rows() -> Iterator[list[str]]:
    for each in OPERATIONS:
        given = [f"{code(p.name)}{'' if p.required else '?'}: {p.about}" for p in each.parameters]
        if each.body is not None:
            given.append(f"a body such as {code(json.dumps(each.body['examples'][0]))}")
        yield [
            code(f"{each.method} {each.path}"),
            plain(each.about),
            "; ".join(given),
            ", ".join(map(str, each.problems)),
        ]
