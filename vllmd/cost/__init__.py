"""What serving costs: GPU time, energy and tokens by the hour, and prices for them.

`meter.py` adds up time, energy and tokens by the hour, pure, in whole numbers; `day_files.py`
keeps them; `prices.py`, `api_prices.py` and `report.py` put prices on them. `service.py` looks
at states, pages and GPUs for it. User documentation: `docs/cost.md`.
"""
