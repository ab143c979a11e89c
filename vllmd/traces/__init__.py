"""Traces: OTLP received from engines, turned into numbers, and passed on.

`http.py` and `grpc.py` receive. What a client sends is bounded before anything is made of it:
`unpack.py` has the memory that bodies share and unpacks gzip piece by piece; `wire.py` walks the
outer levels of protobuf and counts. Then `decode.py` and `spans.py` read, in steps of 10 ms at
most. `loop_steps.py` does such steps one a turn of the event loop, and of large requests one at
a time: a thread would not help, as protobuf holds the interpreter while it parses. `grpc.py` is
a server of its own on h2: `frames.py` counts frames before anything is done with them,
`http2.py` has the streams and makes a task for one only when all of its message came.
`refusal.py` has the reasons for which a request is refused, `intake.py` what both receivers do
with one that is taken.

`aggregate.py` counts by engine and adapter, `duplicates.py` knows what came before, `slowest.py`
ranks, `coverage.py` compares with vLLM's page, `models.py` says which adapters there are.
`forward/` passes on: a queue, a judge of answers, a sender for each protocol. `event_spans.py`
makes trees of spans of the daemon's events, and `own_spans.py` sends those. `service.py` wires
them; no reload touches what was counted and what waits (`IntakeState`). A part of a start that
ended is told to the supervisor (`Supervisor.span_ended`): a phase is known by its span where the
log does not say it. User documentation: `docs/traces.md`.
"""
