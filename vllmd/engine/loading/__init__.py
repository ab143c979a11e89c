"""How a load goes: its phases, how long they take, how much memory."""
