"""What was received, passed on to a collector, Tempo or Jaeger."""
