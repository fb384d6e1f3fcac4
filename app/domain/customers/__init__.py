"""Feature 3: who the customers are and how they stay logged in."""
