"""GPUs: a child process that reads NVML, and what its readings mean.

`reader.py` and `devices.py` are the child, the only process that loads NVML; `wire.py` says what
it sends. `reader_process.py` keeps it alive, and `latest.py` keeps what it sent, as long as that
is not too old. `rows.py` is the table of all figures, for both sides: name, help, unit and how
each is read. `attribution.py` says whose a process is, `memory_shares.py` divides memory, and
`state_file.py` remembers that until the next boot. `service.py` wires them.
`engine_view.py` answers what a supervisor may ask (`engine/gpu_interface.py`): does it work, is
there room, who holds its memory, which Xids were seen, was the driver changed. User
documentation: `docs/gpu.md`.
"""
