"""An engine that gives its GPU memory back while nobody needs it, and takes it again.

What is wanted is a wish (`rules.py`, pure): somebody's, the schedule's, or what a time without
requests makes of it; the newest counts. `sleeper.py` makes the engine as it is wanted:

1. A sleep is refused before anything happens where it cannot be (`refusal.py`).
2. The engine is `draining`: `/ready` is red, and its requests finish. One that is still busy after
   `drain_s` serves on.
3. It is noted with the run (`process/asleep.py`), on the disk, before vLLM is told. So a daemon
   that is killed from here on leaves one behind that does not take the engine for one that serves.
4. `POST /sleep` (`probes/sleep_routes.py`): then it is `sleeping`, and the GPUs are asked whether
   the memory came back (`memory_proof.py`).
5. A wake at level 2 maps the memory of the weights, reads them from the model's files, and only
   then lets the engine compute. The note goes when all of that is done.

A daemon that finds the note asks `GET /is_sleeping`, and does what is missing. Engines that share a
GPU in turns ask each other (`turns.py`).
"""
