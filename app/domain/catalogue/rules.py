"""When a product belongs to a collection by rule: a rule's meaning as an SQL condition over `products p`."""

from collections.abc import Sequence
from typing import Any, Final

import msgspec

from app.domain.catalogue.errors import INVALID_RULE
from app.kit.errors import FieldError, Invalid
from app.kit.money import MAX_MINOR, MoneyError, to_minor


class Rule(msgspec.Struct, frozen=True):
    """One condition. Prices are written as decimals of the store's currency, weights in grams."""

    field: str
    relation: str
    value: str


TEXT_RELATIONS: Final = {
    "equals": "{x} = {v}",
    "not_equals": "{x} <> {v}",
    "contains": "position({v} in {x}) > 0",
    "starts_with": "starts_with({x}, {v})",
    "ends_with": "right({x}, length({v})) = {v}",
}
NUMBER_RELATIONS: Final = {
    "equals": "{x} = {v}",
    "not_equals": "{x} <> {v}",
    "greater_than": "{x} > {v}",
    "less_than": "{x} < {v}",
}
_VARIANTS: Final = (
    "EXISTS (SELECT 1 FROM variants v WHERE v.store_id = p.store_id AND v.product_id = p.id AND {})"
)
_STOCK: Final = (
    "EXISTS (SELECT 1 FROM variants v LEFT JOIN stock_items s"
    " ON s.store_id = v.store_id AND s.variant_id = v.id"
    " WHERE v.store_id = p.store_id AND v.product_id = p.id AND {})"
)
_TYPE: Final = "coalesce((SELECT lower(t.name) FROM product_types t WHERE t.store_id = p.store_id AND t.id = p.type_id), '')"
# Where the value is looked for, and the frame that the comparison stands in.
TEXT_FIELDS: Final = {
    "title": ("lower(p.title)", "{}"),
    "type": (_TYPE, "{}"),
    "vendor": ("lower(p.vendor)", "{}"),
    "tag": ("lower(tag)", "EXISTS (SELECT 1 FROM unnest(p.tags) AS tag WHERE {})"),
    "variant_title": ("lower(v.title)", _VARIANTS),
}
MONEY_FIELDS: Final = {"price": "v.price", "compare_at_price": "v.compare_at_price"}
NUMBER_FIELDS: Final = {
    "weight": ("v.grams", _VARIANTS),
    "stock": ("coalesce(s.on_hand - s.reserved, 0)", _STOCK),
}
FIELDS: Final = (*TEXT_FIELDS, *MONEY_FIELDS, *NUMBER_FIELDS)


def _refused(place: int, part: str, message: str) -> Invalid:
    name = f"rules[{place}].{part}"
    return Invalid(INVALID_RULE, message, errors=(FieldError(name, INVALID_RULE, message),))


def store_rule(rule: Rule, place: int, currency: str) -> dict[str, Any]:
    """A rule as it is kept: text as it is written, money in minor units. Raises Invalid invalid_rule."""
    if rule.field not in FIELDS:
        raise _refused(place, "field", f"A rule looks at one of {', '.join(FIELDS)}.")
    relations = TEXT_RELATIONS if rule.field in TEXT_FIELDS else NUMBER_RELATIONS
    if rule.relation not in relations:
        raise _refused(place, "relation", f"{rule.field} is compared by one of {', '.join(relations)}.")
    value: str | int
    if rule.field in TEXT_FIELDS:
        value = rule.value.strip()
        if not value:
            raise _refused(place, "value", "A rule needs a value.")
    else:
        value = _number(rule, place, currency)
        if abs(value) > MAX_MINOR:
            raise _refused(place, "value", "The value is too large.")
    return {"field": rule.field, "relation": rule.relation, "value": value}


def _number(rule: Rule, place: int, currency: str) -> int:
    try:
        return to_minor(rule.value, currency) if rule.field in MONEY_FIELDS else int(rule.value)
    except MoneyError as problem:
        raise _refused(place, "value", f"{problem}.") from None
    except ValueError:
        raise _refused(place, "value", f"{rule.field} is compared with a whole number.") from None


def condition_of(rules: Sequence[dict[str, Any]], condition: str) -> tuple[str, dict[str, Any]]:
    """The SQL condition of stored rules, and its parameters; without any rule nothing belongs.

    Both sides are put in lower case by PostgreSQL: Python has another lower case for some letters.
    """
    parts: list[str] = []
    values: dict[str, Any] = {}
    for place, rule in enumerate(rules):
        name, relation = f"rule_{place}", rule["relation"]
        field = rule["field"]
        if field in TEXT_FIELDS:
            inner, frame = TEXT_FIELDS[field]
            test, asked = TEXT_RELATIONS[relation], f"lower(CAST(:{name} AS text))"
            if field == "tag" and relation == "not_equals":
                # No tag of the product equals it, rather than some other tag.
                test, frame = TEXT_RELATIONS["equals"], f"NOT {frame}"
        else:
            inner, frame = (MONEY_FIELDS[field], _VARIANTS) if field in MONEY_FIELDS else NUMBER_FIELDS[field]
            test, asked = NUMBER_RELATIONS[relation], f"CAST(:{name} AS bigint)"
        parts.append(frame.format(test.format(x=inner, v=asked)))
        values[name] = rule["value"]
    joined = (" AND " if condition == "all" else " OR ").join(f"({part})" for part in parts)
    return joined or "false", values
