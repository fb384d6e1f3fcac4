"""How large and how small each kind of value may be: the bounded types of every surface."""

from typing import Annotated

from msgspec import Meta

from app.kit.paging import MAX_PAGE, MAX_PAGE_SIZE

MAX_ID = 2**63 - 1
MAX_QUANTITY = 999
MAX_MINOR = 10**14

Id = Annotated[int, Meta(ge=1, le=MAX_ID, description="An id.")]
PageNumber = Annotated[int, Meta(ge=1, le=MAX_PAGE, description="Pages count from 1.")]
PageSize = Annotated[int, Meta(ge=1, le=MAX_PAGE_SIZE, description="How many items a page has.")]
Quantity = Annotated[int, Meta(ge=1, le=MAX_QUANTITY, description="How many pieces.")]
QuantityOrNone = Annotated[int, Meta(ge=0, le=MAX_QUANTITY, description="How many pieces; 0 removes.")]
Amount = Annotated[int, Meta(ge=0, le=MAX_MINOR, description="Money in the currency's minor unit.")]

Word = Annotated[str, Meta(min_length=1, max_length=64)]
Line = Annotated[str, Meta(max_length=255)]
RequiredLine = Annotated[str, Meta(min_length=1, max_length=255)]
Text = Annotated[str, Meta(max_length=10_000)]
Email = Annotated[str, Meta(min_length=3, max_length=254, description="A mail address.")]
Phone = Annotated[str, Meta(max_length=40)]
Password = Annotated[str, Meta(min_length=8, max_length=128)]
Token = Annotated[str, Meta(min_length=1, max_length=200)]
Handle = Annotated[str, Meta(min_length=1, max_length=255)]
CountryWord = Annotated[str, Meta(min_length=2, max_length=100, description="English name or ISO 3166 code.")]
CurrencyCode = Annotated[str, Meta(min_length=3, max_length=3, pattern="^[A-Z]{3}$")]
SearchText = Annotated[str, Meta(min_length=1, max_length=200)]
Ids = Annotated[list[Id], Meta(max_length=MAX_PAGE_SIZE)]
