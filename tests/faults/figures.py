"""What the drills found, in a line each, printed when all have run."""

FIGURES: list[tuple[str, str]] = []


def note(what: str, found: object) -> None:
    FIGURES.append((what, str(found)))
