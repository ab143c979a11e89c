"""What `vllmd top` draws: a whole screen, of what the commands print."""
