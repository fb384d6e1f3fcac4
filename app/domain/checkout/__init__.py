"""Feature 8: from a cart to a placed order."""
