"""Feature 2: what money moved, in double entry, never changed afterwards."""
