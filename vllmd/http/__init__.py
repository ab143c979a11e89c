"""What vllmd shows over TCP: the metrics page, readiness, a landing page."""
