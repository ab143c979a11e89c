"""What engines print: followed, counted, compressed, rotated."""
