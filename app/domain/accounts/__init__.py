"""Feature 9: what customers do across features: signing up, logging in, proving an address, leaving."""
