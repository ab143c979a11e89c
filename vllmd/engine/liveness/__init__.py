"""Does an engine that runs get on with its work? Progress is the heartbeat, not an open port."""
