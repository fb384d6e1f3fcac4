"""What payment services tell us: the signature is checked on the raw body, each event has one effect."""
