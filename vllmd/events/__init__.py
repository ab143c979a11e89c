"""One class for each event: frozen, with typed fields, whose names are those in the log line.

It is told by `emit(log, EngineHeld(...))`, and nothing else is told to the log. The log hands on
a record: a name and a mapping of fields, without secrets. Who looks into one names the classes
that it reads, and gets one of them by `read_back`, or None; mypy finds a field that was renamed.
`read_back` never raises, because a row may be older, newer or damaged: fields that are not known
are passed over, those that are missing or of a wrong type have their defaults. What only shows
records (`vllmd events`) shows those of any name.
"""
