"""Feature 5: attempts to be paid, and the services that they are made at."""
