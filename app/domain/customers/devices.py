"""Which browsers and apps a customer has logged in from, so that a login from another one is told of."""

import hashlib
from typing import Final

# Remembers that the customer was here with this device; answers whether that is new. Part of a login's statement.
NOTE_DEVICE: Final = """
    INSERT INTO customer_devices (store_id, customer_id, digest, first_seen_at, last_seen_at)
    VALUES (:store_id, :customer_id, :device, :now, :now)
    ON CONFLICT (store_id, customer_id, digest) DO UPDATE SET last_seen_at = EXCLUDED.last_seen_at
    RETURNING xmax = 0 AS is_new
"""


def device_digest(*, cookie: str | None, agent: str, network: str) -> bytes:
    """What a device is known by: the cookie that a browser was given, else what an app calls itself, and where.

    Not by its words alone: all who have the app, and whoever has read of it, say the same.
    """
    known_by = f"cookie\n{cookie}" if cookie else f"agent\n{agent}\n{network}"
    return hashlib.sha256(known_by.encode()).digest()


_BROWSERS: Final = (
    ("Edg", "Edge"), ("OPR/", "Opera"), ("Firefox/", "Firefox"), ("FxiOS/", "Firefox"),
    ("SamsungBrowser/", "Samsung Internet"), ("CriOS/", "Chrome"), ("Chrome/", "Chrome"), ("Safari/", "Safari"),
)  # fmt: skip
_SYSTEMS: Final = (
    ("iPhone", "iPhone"), ("iPad", "iPad"), ("Android", "Android"), ("Windows", "Windows"),
    ("Mac OS X", "macOS"), ("CrOS", "ChromeOS"), ("Linux", "Linux"),
)  # fmt: skip


def device_name(agent: str) -> str:
    """What people call a device, as "Firefox, Linux"; else the first words that it calls itself."""
    browser = next((name for mark, name in _BROWSERS if mark in agent), None)
    system = next((name for mark, name in _SYSTEMS if mark in agent), None)
    known = ", ".join(name for name in (browser, system) if name)
    plain = "".join(letter for letter in agent if letter.isprintable())
    return known or plain.partition("(")[0].strip()[:60]
