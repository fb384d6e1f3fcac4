"""Which extra objects an answer carries: `?expand=product,options`, from the list that a route allows."""

from collections.abc import Collection

from app.api.faults import invalid_field


def parse_expand(value: str | None, allowed: Collection[str]) -> frozenset[str]:
    """The wanted extras. Raises Invalid for one that the route does not have."""
    if not value:
        return frozenset()
    wanted = frozenset(part.strip() for part in value.split(",") if part.strip())
    unknown = sorted(wanted.difference(allowed))
    if unknown:
        raise invalid_field(
            "expand", "unknown_choice", f"This call can expand {', '.join(sorted(allowed)) or 'nothing'}."
        )
    return wanted
