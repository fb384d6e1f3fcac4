"""Files of the shop's own: what they are called, and what keeps them."""
