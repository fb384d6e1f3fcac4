"""How a total is paid: by gift card first, since cards may expire, then by store credit, the rest at a service."""

from typing import Final, Literal

import msgspec

Kind = Literal["gift_card", "store_credit"]
GIFT_CARD: Final = "gift_card"
STORE_CREDIT: Final = "store_credit"
# In the order in which they are drawn on, and their rows locked.
KINDS: Final[tuple[Kind, ...]] = (GIFT_CARD, STORE_CREDIT)


class Balances(msgspec.Struct, frozen=True):
    """What a checkout can draw on, in minor units: 0 where a card is not usable, None where there is none at all."""

    card: int | None = None
    credit: int | None = None
    last_four: str = ""


class Split(msgspec.Struct, frozen=True):
    """What a gift card and store credit pay of a total, in minor units. last_four: the card's, empty for none."""

    gift_card: int = 0
    store_credit: int = 0
    last_four: str = ""

    @property
    def covered(self) -> int:
        return self.gift_card + self.store_credit

    def parts(self) -> dict[Kind, int]:
        """What each of them pays, without those that pay nothing."""
        return {kind: amount for kind in KINDS if (amount := getattr(self, kind))}


def split_total(total: int, balances: Balances) -> Split:
    """Share a total out over what there is to draw on."""
    card = min(total, balances.card or 0)
    credit = min(total - card, balances.credit or 0)
    return Split(card, credit, balances.last_four)
