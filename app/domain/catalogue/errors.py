"""What can go wrong in the catalogue."""

from typing import Final

from app.kit.errors import Invalid, NotFound, declare

PRODUCT_NOT_FOUND: Final = declare(NotFound, "product_not_found", "There is no such product on sale.")
VARIANT_NOT_FOUND: Final = declare(NotFound, "variant_not_found", "There is no such product variant on sale.")
COLLECTION_NOT_FOUND: Final = declare(NotFound, "collection_not_found", "There is no such collection.")
CATEGORY_NOT_FOUND: Final = declare(NotFound, "category_not_found", "There is no such category.")
INVALID_PRODUCT: Final = declare(Invalid, "invalid_product", "The product cannot be kept as it was written.")
INVALID_RULE: Final = declare(Invalid, "invalid_rule", "A collection's rule cannot be understood.")


def product_not_found() -> NotFound:
    return NotFound(PRODUCT_NOT_FOUND, "There is no such product on sale.")


def variant_not_found() -> NotFound:
    return NotFound(VARIANT_NOT_FOUND, "There is no such product variant on sale.")


def collection_not_found() -> NotFound:
    return NotFound(COLLECTION_NOT_FOUND, "There is no such collection.")


def category_not_found() -> NotFound:
    return NotFound(CATEGORY_NOT_FOUND, "There is no such category.")
