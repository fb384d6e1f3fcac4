"""The database as a tool: declarative base, sessions, raw reads, the queue, idempotency records."""
