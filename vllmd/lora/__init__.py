"""The LoRA adapters of engines: what is wanted, what is loaded, and how one becomes the other.

`desired.py` says which adapters there are to be. `adapter_files.py` and
`engine/model_files/base_model.py` read the heads of files, `validation.py` judges them, and
`inspector.py` remembers the verdict until files change. `plan.py` compares with what
`/v1/models` lists, `reconciler.py` does what is to be done, and `adapter_status.py` remembers
how each adapter stands. `service.py` wires them: an engine that starts is ready once its
adapters are (`daemon/engine_probes.py`); one that serves already waits for none. User
documentation: `docs/lora.md`.
"""
