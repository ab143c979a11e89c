"""What will fail, found before it does: `vllmd doctor`. One file a check."""
