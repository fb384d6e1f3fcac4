"""What the numbers of the API count: said beside each of them, by the name that it has everywhere."""

from typing import Any, Final

_MINOR: Final = "In minor units of the currency: 1800 is 18.00 in USD, 1800 in JPY."

# What has one of these names and is a whole number is a sum of money; `items` and `shipping` are in totals only.
MONEY: Final = frozenset(
    {
        "added_price",
        "amount",
        "balance",
        "compare_at_price",
        "discount",
        "discounted_price",
        "items",
        "line_price",
        "original_line_price",
        "original_price",
        "original_total_price",
        "price",
        "refunded",
        "reward",
        "shipping",
        "tax",
        "total",
        "total_discount",
        "total_price",
    }
)
_OTHERS: Final = {
    "answered_at": "Unix seconds.",
    "created_at": "Unix seconds.",
    "exponent": "How many decimals the currency has: 2 in USD, 0 in JPY, 3 in KWD.",
    "grams": "In grams.",
    "max_days": "Days until it arrives, at most.",
    "min_days": "Days until it arrives, at least.",
    "published_at": "Unix seconds.",
    "rating": "1 to 5.",
    "retry_after": "Seconds until it is worth asking again.",
    "share": "Of the first order's goods, in basis points: 500 is 5 %.",
    "timeout": "Milliseconds.",
    "total_weight": "In grams.",
    "updated_at": "Unix seconds.",
    "weight": "In `weight_unit`.",
}


def say_units(schemas: dict[str, Any]) -> None:
    """Describe the numbers of every shape, but those whose own shape says more."""
    for schema in schemas.values():
        for name, field in schema.get("properties", {}).items():
            said = _MINOR if name in MONEY else _OTHERS.get(name)
            if said and _is_number(field):
                field.setdefault("description", said)


def _is_number(field: dict[str, Any]) -> bool:
    kinds = field.get("oneOf", [field])
    return any(kind.get("type") in ("integer", "number") for kind in kinds)
