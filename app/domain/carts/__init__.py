"""Feature 6: what somebody means to buy."""
