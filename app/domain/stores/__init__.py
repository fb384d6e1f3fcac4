"""Feature 1: the store and what its owner sets: currency, zones, taxes, payment services, reasons."""
