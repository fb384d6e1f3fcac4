"""Feature 8: what shoppers say and ask about products, and the figures made of it."""
