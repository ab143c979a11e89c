"""Made-up bad cases of each check: what is found, and how bad it is."""
