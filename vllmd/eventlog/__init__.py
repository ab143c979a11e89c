"""One event, one line, everywhere: the log is the bus.

    emit -> log -> redact -> bus -> journal
                                 -> queue -> thread -> SQLite -> vllmd why, events, bundle
                                 -> notices -> queue -> webhook

A structlog processor (`bus.py`) hands each event to the history and the webhook, after another
(`util/redact.py`) has removed its secrets. So nothing that is in the journal is missing from
`vllmd events`, and no secret has a second way out. What an engine printed is redacted where it
is read. `narrative.py` (pure) makes of events a report of six labelled parts: What, Why,
Evidence, Done, Next and More (`util/failure_report.py`). `vllmd why`, the webhook and the bundle
use it, an incident has one too (`why.txt`); `vllmd_engine_failure_info` carries its sentences to
alerts.
"""
