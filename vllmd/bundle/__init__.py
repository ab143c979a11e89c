"""One archive with what a stranger needs to understand a failure, and nothing that is private."""
