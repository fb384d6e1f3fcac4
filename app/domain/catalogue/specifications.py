"""What a page tells of a variant in a table of names and values: codes, maker, options, weight, a shop's own fields."""

from collections.abc import Iterable, Mapping
from decimal import Decimal
from typing import Any, Final

from app.domain.catalogue.drafts import key_of

# International pound and ounce (exact by definition, 1959).
_GRAMS_IN: Final = {
    "g": Decimal(1), "kg": Decimal(1000), "lb": Decimal("453.59237"), "oz": Decimal("28.349523125"),
}  # fmt: skip
# Namespaces of metafields that speak to advertising and to Shopify's own apps, never to shoppers.
_UNTOLD: Final = ("google", "mm-google-shopping")
_UNTOLD_PREFIX: Final = "shopify--"


def weight_in(unit: str, grams: Decimal) -> Decimal:
    """A weight in its unit; one that is unknown counts grams."""
    return grams / _GRAMS_IN.get(unit, Decimal(1))


def list_specifications(
    *,
    sku: str,
    barcode: str,
    vendor: str,
    choices: Iterable[tuple[str, str]],
    grams: Decimal,
    unit: str,
    metafields: Mapping[str, Any],
) -> dict[str, dict[str, str]]:
    """By key the name and value of each that there is; `choices` are names of options and their values.

    A metafield never hides what the shop knows by itself.
    """
    found = [("SKU", sku), ("Barcode", barcode), ("Vendor", vendor), *choices]
    if grams:
        found.append(("Weight", f"{round(weight_in(unit, grams), 3).normalize():f} {unit}"))
    found += _told_metafields(metafields)
    told: dict[str, dict[str, str]] = {}
    for name, value in found:
        if value:
            told.setdefault(key_of(name), {"name": name, "value": value, "content": value})
    return told


def _told_metafields(metafields: Mapping[str, Any]) -> Iterable[tuple[str, str]]:
    """Metafields are kept as namespace.key: `custom.frame_material` is shown as Frame material."""
    for field, value in metafields.items():
        namespace, _, key = field.partition(".")
        hidden = namespace in _UNTOLD or namespace.startswith(_UNTOLD_PREFIX)
        if key and not hidden and isinstance(value, str):
            yield key.replace("_", " ").replace("-", " ").strip().capitalize(), value
