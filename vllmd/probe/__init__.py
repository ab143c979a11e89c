"""Is the answer right? An engine that answers garbage is healthy to everybody else.

A few prompts are asked with log-probabilities when an engine is first proven, and again later: what
comes is compared with the reference that was recorded, by probabilities and with a tolerance.
"""
