"""OTLP bodies to messages, as protobuf and as JSON. Pure.

Source: the OTLP specification 1.x, "Binary Protobuf Encoding" and "JSON Protobuf Encoding".
"""

import base64
import binascii
import json
from typing import Any

from google.protobuf import json_format
from google.protobuf.message import DecodeError
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

_IDS = frozenset({"traceId", "spanId", "parentSpanId"})


class MalformedError(Exception):
    """A body is no request to export traces; sending it again does not help."""


def parse_protobuf(body: bytes) -> ExportTraceServiceRequest:
    """Read a request; unknown fields are kept, as protobuf does.

    Raises: MalformedError.
    """
    try:
        request: ExportTraceServiceRequest = ExportTraceServiceRequest.FromString(body)
    except DecodeError:
        raise MalformedError("the body is no ExportTraceServiceRequest in protobuf") from None
    return request


def parse_json(body: bytes) -> ExportTraceServiceRequest:
    """Read a request in OTLP's own JSON: ids in hex, names in lowerCamelCase, unknown ones ignored.

    Raises: MalformedError.
    """
    request = ExportTraceServiceRequest()
    try:
        given = _from_otlp(json.loads(body))
        if not isinstance(given, dict):
            raise MalformedError("the body is no JSON object")
        json_format.ParseDict(given, request, ignore_unknown_fields=True)
    except (ValueError, RecursionError, json_format.ParseError, AttributeError, TypeError) as error:
        text = str(error).splitlines()[0][:200] if str(error) else type(error).__name__
        raise MalformedError(f"the body is no ExportTraceServiceRequest in JSON: {text}") from None
    return request


def _from_otlp(value: Any) -> Any:
    """Turn OTLP's JSON into protobuf's: ids in base64, and no snake_case, which OTLP has not."""
    if isinstance(value, list):
        return [_from_otlp(each) for each in value]
    if not isinstance(value, dict):
        return value
    return {
        name: _id(name, each) if name in _IDS else _from_otlp(each)
        for name, each in value.items()
        if "_" not in name
    }


def _id(name: str, value: Any) -> str:
    if not isinstance(value, str):
        raise MalformedError(f"{name} is no string of hex digits")
    try:
        return base64.b64encode(bytes.fromhex(value)).decode()
    except (ValueError, binascii.Error):
        raise MalformedError(f"{name} is {value[:40]!r}, no string of hex digits") from None


def to_json(message: Any) -> bytes:
    """Write an answer as OTLP's JSON."""
    return str(json_format.MessageToJson(message, indent=None)).encode()
