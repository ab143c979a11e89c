"""An engine's own page: fetched once for everybody, split, labelled, and put on vllmd's.

vLLM's page is read every `poll_s` seconds while it serves, and for a scrape unless the last
reading is at most a second old; one reading serves everybody who waits (`page.py`). It is split
by one regular expression a line (`families.py`); `vllmd_engine` is put first among the labels,
and the rest stays byte for byte. A line that is no sample is left out and counted, so that no
engine can spoil the page. Left out by intent: `process_*` and `python_*` (the daemon's own have
those names), `*_created`, and `vllm:lora_requests_info` (it grows without bound). What cannot be
read is absent, not the last value; `vllmd_engine_page_up` and `_age_seconds` tell.
"""
