"""Pure values without I/O: money, time, ids, errors, the actor, pages."""
