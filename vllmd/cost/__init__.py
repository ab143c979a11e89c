"""What serving costs: GPU time, energy and tokens by the hour, and prices for them."""
