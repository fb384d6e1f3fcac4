"""Feature 3: people who buy: their addresses and who is logged in."""
