"""What runs the collectors; each subject has its own, in `metrics.py`."""
