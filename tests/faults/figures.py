"""How much the drills do, and what they found, printed in a line each when all have run."""

from dataclasses import dataclass

FIGURES: list[tuple[str, str]] = []


def note(what: str, found: object) -> None:
    """Put a line into the table at the end."""
    FIGURES.append((what, str(found)))


@dataclass(frozen=True)
class Form:
    """The whole of it, or the short form that every check runs."""

    kills: int
    restarts: int
    commits: int


FORMS = {
    "short": Form(kills=8, restarts=2, commits=10),
    "full": Form(kills=50, restarts=10, commits=100),
}
