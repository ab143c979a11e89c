"""vLLM's own metrics page: fetched once for all who ask, split, labelled and passed on."""
