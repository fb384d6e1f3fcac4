"""What can go wrong in the catalogue."""

from typing import Final

from app.kit.errors import NOT_FOUND, Invalid, NotFound, declare

INVALID_PRODUCT: Final = declare(
    Invalid, "invalid_product", "A product, collection or category is malformed."
)
INVALID_RULE: Final = declare(Invalid, "invalid_rule", "A collection's rule cannot be understood.")


def product_not_found() -> NotFound:
    return NotFound(NOT_FOUND, "There is no such product on sale.")


def variant_not_found() -> NotFound:
    return NotFound(NOT_FOUND, "There is no such product variant on sale.")


def collection_not_found() -> NotFound:
    return NotFound(NOT_FOUND, "There is no such collection.")


def category_not_found() -> NotFound:
    return NotFound(NOT_FOUND, "There is no such category.")
