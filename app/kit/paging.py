"""What a page is: which slice of a list is asked for, and what a list hands back."""

from typing import Generic, TypeVar

import msgspec

MAX_PAGE = 10_000
MAX_PAGE_SIZE = 100
DEFAULT_PAGE_SIZE = 16

T = TypeVar("T")


class PageRequest(msgspec.Struct, frozen=True):
    """Which page of how many items; pages count from 1. With a cursor the page begins there, whatever its number."""

    number: int = 1
    size: int = DEFAULT_PAGE_SIZE
    after: str = ""

    @property
    def skip(self) -> int:
        """How many items come before this page: the OFFSET of a query, which begins at the cursor if there is one."""
        if self.after:
            return 0
        return (self.number - 1) * self.size


class Page(msgspec.Struct, Generic[T], frozen=True):
    """The items of one page, and how many there are on all pages together."""

    items: list[T]
    total: int


def page_count(total: int, size: int) -> int:
    """How many pages hold `total` items; none for none."""
    return -(-total // size)
