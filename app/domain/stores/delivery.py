"""When a parcel arrives: working days of a store, counted from the day on which it can begin."""

from datetime import date, datetime, time, timedelta
from functools import lru_cache
from typing import Final, Literal
from zoneinfo import ZoneInfo

import msgspec

Weekday = Literal["mon", "tue", "wed", "thu", "fri", "sat", "sun"]

_WEEKDAYS: Final[tuple[Weekday, ...]] = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
_A_DAY: Final = timedelta(days=1)


class DeliveryRules(msgspec.Struct, frozen=True):
    """The days that do not count, and the time of day after which an order counts as the next day's."""

    time_zone: str = "UTC"
    closed: tuple[Weekday, ...] = ("sat", "sun")
    holidays: tuple[date, ...] = ()
    cut_off: time | None = None

    def is_open(self, day: date) -> bool:
        return _WEEKDAYS[day.weekday()] not in self.closed and day not in self.holidays


def arrival(rules: DeliveryRules, days: int, *, now: datetime) -> date:
    """The day that so many working days lead to. Day 0 is today, or the next day that is worked on.

    At least one day of the week is open, which the shop file's check sees to.
    """
    here = now.astimezone(ZoneInfo(rules.time_zone))
    day = here.date()
    if rules.cut_off is not None and here.time() >= rules.cut_off:
        day += _A_DAY
    return _after(rules, day, days)


@lru_cache(maxsize=1024)
def _after(rules: DeliveryRules, day: date, days: int) -> date:
    """So many working days after a day, or after the next one that is worked on. It is the same all day long."""
    day = _open_from(rules, day)
    for _ in range(days):
        day = _open_from(rules, day + _A_DAY)
    return day


def _open_from(rules: DeliveryRules, day: date) -> date:
    while not rules.is_open(day):
        day += _A_DAY
    return day
