"""Whether, when and into what an engine that ended is started again."""
