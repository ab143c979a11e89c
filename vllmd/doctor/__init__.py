"""What will fail, found before it does: `vllmd doctor`. A table of checks for each subject.

A check is pure: what it looks at is in `Case` and `HostFacts`, which `cli/examining.py` and
`host.py` fill. Before a start (`on_start.py`), `engine.spawned` has a process of its own run
`vllmd doctor`; the start does not wait for it, and what it finds is told once and holds nothing:
a wrong hold would be an outage. User documentation: `docs/doctor.md`.
"""
