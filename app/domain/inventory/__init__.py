"""Feature 3: how many there are, how many are held, how many were sold. Knows variant ids only."""
