"""What an engine has shown, and which keys of its configuration that speaks for changing.

`reading.py` reads what matters off one page, `observer.py` adds it up by day and by command,
`observed.py` is such a sum, and `day_files.py` keeps them. `rules.py` says what follows, `diff.py`
writes it as a change of the file; `service.py` wires them. A rule that has not seen enough says
nothing. User documentation: `docs/advise.md`.
"""
