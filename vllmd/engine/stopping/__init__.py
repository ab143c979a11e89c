"""How an engine is ended, and how its end is proven."""
