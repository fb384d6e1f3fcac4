"""How much the drills do."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Form:
    """The whole of it, or the short form that every check runs."""

    kills: int
    restarts: int
    commits: int
