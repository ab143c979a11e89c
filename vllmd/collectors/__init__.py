"""vllmd's own metrics, one file a collector; `vllmd.daemon` lists the ones it runs."""
