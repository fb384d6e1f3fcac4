"""What can be set from outside: one frozen Settings, read from environment variables by load_settings."""

import ipaddress
import os
import re
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

Network = ipaddress.IPv4Network | ipaddress.IPv6Network

LOOPBACK: tuple[Network, ...] = (ipaddress.ip_network("127.0.0.0/8"), ipaddress.ip_network("::1/128"))
SECRET_FIELDS = frozenset(
    {
        "secret_keys",
        "database_url",
        "redis_url",
        "smtp_url",
        "stripe_secret_key",
        "stripe_webhook_secrets",
        "paypal_client_secret",
        "facebook_app_secret",
        "s3_secret_access_key",
    }
)
MIN_SECRET_LENGTH = 32

GOOGLE_ISSUER = "https://accounts.google.com"
GOOGLE_JWKS_URL = "https://www.googleapis.com/oauth2/v3/certs"
FACEBOOK_GRAPH_URL = "https://graph.facebook.com"


MOST_CALLS = 10_000
MOST_LIMIT_SECONDS = 86_400


@dataclass(frozen=True, slots=True)
class Limit:
    """At most so many calls of one kind in any span of so many seconds."""

    name: str
    calls: int
    seconds: int

    def __str__(self) -> str:
        return f"{self.name}={self.calls}/{self.seconds}"


# What must not be guessed is narrow. Checkout and payment leave room for a whole office behind one address.
LIMITS: tuple[Limit, ...] = (
    Limit("login", 5, 60),
    # Wrong passwords: for an account from one network, and for an account from everywhere it is not known.
    Limit("guess", 10, 900),
    Limit("guess_account", 100, 3600),
    # Wrong mailed codes for an account in a day, from everywhere it is not known: six digits are few.
    Limit("guess_code", 50, 86_400),
    # By network, with room for an office; an address is tried at five times an hour, from wherever.
    Limit("signup", 30, 3600),
    Limit("signup_account", 5, 3600),
    Limit("password", 30, 600),
    Limit("lookup", 10, 60),
    Limit("coupon", 20, 60),
    # What is on a card belongs to whoever knows its code, which nobody should find by trying.
    Limit("gift_card", 10, 60),
    Limit("forms", 10, 60),
    Limit("checkout", 600, 60),
    Limit("payment", 300, 60),
)


@dataclass(frozen=True, slots=True)
class OidcClient:
    """What this shop is at an OpenID Connect provider; a public client has no secret."""

    name: str
    issuer: str
    client_id: str
    client_secret: str = field(repr=False)
    scopes: tuple[str, ...]

    def __str__(self) -> str:
        return f"{self.name} ({self.issuer})"


@dataclass(frozen=True, slots=True)
class CarrierService:
    """Where a carrier's live rates are asked for."""

    name: str
    url: str
    token: str = field(repr=False)

    def __str__(self) -> str:
        return f"{self.name} ({self.url})"


class SettingsError(ValueError):
    """A variable has a value that cannot be used; the message names the variable, never a secret."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Settings:
    """The effective configuration. Durations are seconds; an empty URL means the embedded server."""

    env: str = "development"
    host: str = "127.0.0.1"
    port: int = 8000
    workers: int = 1
    data_dir: Path = Path(".data")
    secret_keys: tuple[str, ...] = ()
    secret_is_made: bool = True
    public_url: str = "http://localhost:8000"
    shop_url: str = "http://localhost:8000"
    allowed_origins: tuple[str, ...] = ()
    # The name that passkeys are made for: the shop's host, or a domain above it.
    passkey_domain: str = "localhost"
    trusted_proxies: tuple[Network, ...] = ()
    metrics_allow: tuple[Network, ...] = LOOPBACK
    limits: tuple[Limit, ...] = LIMITS

    database_url: str = ""
    redis_url: str = ""
    # How long a call waits for Redis. The embedded one keeps its journal on PostgreSQL's disk and waits for that as long.
    redis_wait_seconds: float = 0.2
    smtp_url: str = ""
    mail_from: str = "shop@localhost"

    # Where files are kept: `file:` below the data folder, file:///a/folder, or s3://bucket/prefix.
    files_url: str = "file:"
    s3_endpoint_url: str = ""
    s3_region: str = "us-east-1"
    s3_access_key_id: str = ""
    s3_secret_access_key: str = ""
    # Sizes of pictures that were made are kept on this machine's disk up to so many megabytes.
    picture_cache_mb: int = 512

    stripe_secret_key: str = ""
    stripe_publishable_key: str = ""
    stripe_api_base: str = ""
    stripe_account_id: str = ""
    stripe_webhook_secrets: tuple[str, ...] = ()

    paypal_client_id: str = ""
    paypal_client_secret: str = ""
    paypal_api_base: str = ""
    paypal_webhook_id: str = ""
    paypal_merchant_id: str = ""

    google_client_ids: tuple[str, ...] = ()
    google_issuer: str = GOOGLE_ISSUER
    google_jwks_url: str = GOOGLE_JWKS_URL
    facebook_app_id: str = ""
    facebook_app_secret: str = ""
    facebook_graph_url: str = FACEBOOK_GRAPH_URL
    oidc_providers: tuple[OidcClient, ...] = ()

    carriers: tuple[CarrierService, ...] = ()
    carrier_seconds: float = 2.0

    reservation_seconds: int = 900
    checkout_seconds: int = 86_400
    cart_seconds: int = 7_776_000
    abandoned_seconds: int = 86_400
    session_seconds: int = 86_400
    remember_seconds: int = 2_592_000
    session_end_seconds: int = 604_800
    remember_end_seconds: int = 31_536_000
    login_link_seconds: int = 3_600
    login_code_seconds: int = 600
    # A login that is older must be proven anew before another way in is added.
    fresh_login_seconds: int = 900
    reset_token_seconds: int = 3_600
    verify_seconds: int = 604_800
    reconcile_seconds: float = 30.0
    queue_poll_seconds: float = 2.0
    # How often sales that have grown too old to count as recent are taken out of what sells best.
    recount_sold_seconds: int = 86_400
    signature_window_seconds: int = 300
    payment_wait_seconds: float = 10.0
    # How old filters and ordered lists of collections with many products may be; 0 reads them each time.
    counts_seconds: float = 4.0
    idempotency_seconds: int = 86_400
    forget_seconds: int = 2_592_000

    # Argon2id: OWASP's choice for a login, 17 ms and 19 MiB each.
    argon2_memory_kib: int = 19_456
    argon2_time_cost: int = 2
    argon2_parallelism: int = 1

    database_pool_size: int = 10
    reads_pool_size: int = 10
    # What each server process keeps of answers about the catalogue.
    cache_bytes: int = 16 * 1024 * 1024
    demo: bool = True
    log_level: str = "info"
    log_format: str = "text"

    @property
    def is_production(self) -> bool:
        return self.env == "production"

    @property
    def secret_key(self) -> str:
        """The newest key: it signs; the older ones only verify."""
        return self.secret_keys[0]


@dataclass(frozen=True, slots=True)
class _Reader:
    environ: Mapping[str, str]
    problems: list[str] = field(default_factory=list)

    def text(self, name: str, default: str) -> str:
        return self.environ.get(name, "").strip() or default

    def words(self, name: str) -> tuple[str, ...]:
        return tuple(part.strip() for part in self.text(name, "").split(",") if part.strip())

    def number(self, name: str, default: float, *, least: float = 0, most: float = 10**9) -> float:
        raw = self.text(name, "")
        if not raw:
            return default
        try:
            value = float(raw)
        except ValueError:
            value = float("nan")
        if not least <= value <= most:
            self.problems.append(f"{name} must be a number from {least:g} to {most:g}")
            return default
        return value

    def whole(self, name: str, default: int, *, least: int = 0, most: int = 10**9) -> int:
        value = self.number(name, default, least=least, most=most)
        if value != int(value):
            self.problems.append(f"{name} must be a whole number")
        return int(value)

    def choice(self, name: str, default: str, allowed: tuple[str, ...]) -> str:
        value = self.text(name, default).lower()
        if value not in allowed:
            self.problems.append(f"{name} must be one of {', '.join(allowed)}")
            return default
        return value

    def networks(self, name: str, default: tuple[Network, ...]) -> tuple[Network, ...]:
        words = self.words(name)
        if not words:
            return default
        try:
            return tuple(ipaddress.ip_network(word, strict=False) for word in words)
        except ValueError:
            self.problems.append(f"{name} must be a comma-separated list of networks, as 10.0.0.0/8")
            return default

    def limits(self, name: str) -> tuple[Limit, ...]:
        """The built-in table with what is overridden; empty for `off`."""
        words = self.words(name)
        if [word.lower() for word in words] == ["off"]:
            return ()
        table = {limit.name: limit for limit in LIMITS}
        for word in words:
            found = re.fullmatch(r"(\w+) *= *(\d{1,9}) */ *(\d{1,9})", word, re.ASCII)
            if found is None:
                self.problems.append(f"{name} must be off, or a list as login=5/60,forms=10/60; not {word!r}")
                continue
            limit = Limit(found[1], int(found[2]), int(found[3]))
            if limit.name not in table:
                self.problems.append(f"{name} has no class {limit.name!r}; there are {', '.join(table)}")
            elif not (1 <= limit.calls <= MOST_CALLS and 1 <= limit.seconds <= MOST_LIMIT_SECONDS):
                self.problems.append(
                    f"{name} takes 1 to {MOST_CALLS} calls in 1 to {MOST_LIMIT_SECONDS} seconds; not {word!r}"
                )
            else:
                table[limit.name] = limit
        return tuple(table.values())

    def oidc_clients(self, name: str) -> tuple[OidcClient, ...]:
        """A provider for each word of the list, from the variables that have its name in them."""
        found: dict[str, OidcClient] = {}
        for word in self.words(name):
            # `finish` is a path of its own where providers' names stand.
            if not re.fullmatch(r"[a-z][a-z0-9_-]{0,31}", word) or word == "finish" or word in found:
                self.problems.append(f"{name} must name providers as google,my-company; not {word!r}")
                continue
            prefix = f"OIDC_{word.upper().replace('-', '_')}"
            client = found[word] = OidcClient(
                name=word,
                issuer=self.url(f"{prefix}_ISSUER", "", ("http", "https")),
                client_id=self.text(f"{prefix}_CLIENT_ID", ""),
                client_secret=self.text(f"{prefix}_CLIENT_SECRET", ""),
                scopes=tuple(self.text(f"{prefix}_SCOPES", "openid email profile").replace(",", " ").split()),
            )
            if not client.issuer or not client.client_id:
                self.problems.append(
                    f"{name} names {word}, which needs {prefix}_ISSUER and {prefix}_CLIENT_ID"
                )
            if "openid" not in client.scopes:
                self.problems.append(f"{prefix}_SCOPES must have openid among them")
        return tuple(found.values())

    def carriers(self, name: str) -> tuple[CarrierService, ...]:
        """A carrier for each word of the list, from the variables that have its name in them."""
        found: dict[str, CarrierService] = {}
        for word in self.words(name):
            if not re.fullmatch(r"[a-z][a-z0-9_-]{0,31}", word) or word in found:
                self.problems.append(f"{name} must name carriers as parcelhub,my-van; not {word!r}")
                continue
            prefix = f"CARRIER_{word.upper().replace('-', '_')}"
            url = self.url(f"{prefix}_URL", "", ("http", "https"))
            found[word] = CarrierService(word, url, self.text(f"{prefix}_TOKEN", ""))
            if not url:
                self.problems.append(f"{name} names {word}, which needs {prefix}_URL")
        return tuple(found.values())

    def url(self, name: str, default: str, schemes: tuple[str, ...]) -> str:
        value = self.text(name, default)
        if value and not value.startswith(tuple(f"{scheme}://" for scheme in schemes)):
            self.problems.append(f"{name} must begin with {' or '.join(f'{s}://' for s in schemes)}")
            return default
        return value

    def files_url(self, name: str) -> str:
        value = self.text(name, "file:")
        address = urlsplit(value)
        if value == "file:" or value.startswith("file:///") or (address.scheme == "s3" and address.netloc):
            return value
        self.problems.append(f"{name} must be file:, file:///a/folder or s3://bucket/prefix")
        return "file:"

    def domain_above(self, name: str, url: str) -> str:
        """The host of `url`, or a domain above it: what a browser takes for the name of a relying party."""
        host = urlsplit(url).hostname or ""
        domain = self.text(name, host).lower()
        if domain != host and not (host.endswith(f".{domain}") and "." in domain):
            self.problems.append(f"{name} must be {host} or a domain above it")
            return host
        return domain


def load_settings(environ: Mapping[str, str] | None = None) -> Settings:
    """Read the environment. Raises SettingsError with every problem at once, a line each."""
    reader = _Reader(os.environ if environ is None else environ)
    env = reader.choice("STOREFRONT_ENV", "development", ("development", "production"))
    port = reader.whole("PORT", 8000, least=1, most=65_535)
    secret_keys = reader.words("STOREFRONT_SECRET_KEY")
    public_url = reader.url("STOREFRONT_PUBLIC_URL", f"http://localhost:{port}", ("http", "https")).rstrip(
        "/"
    )
    shop_url = reader.url("STOREFRONT_SHOP_URL", public_url, ("http", "https")).rstrip("/")
    redis_url = reader.url("REDIS_URL", "", ("redis", "rediss", "unix"))
    google_issuer = reader.url("GOOGLE_ISSUER", GOOGLE_ISSUER, ("http", "https"))
    settings = Settings(
        env=env,
        host=reader.text("STOREFRONT_HOST", "127.0.0.1"),
        port=port,
        workers=reader.whole("STOREFRONT_WORKERS", min(os.cpu_count() or 1, 4), least=1, most=64),
        data_dir=Path(reader.text("STOREFRONT_DATA_DIR", ".data")).absolute(),
        secret_keys=secret_keys or (secrets.token_urlsafe(48),),
        secret_is_made=not secret_keys,
        public_url=public_url,
        shop_url=shop_url,
        allowed_origins=reader.words("STOREFRONT_ALLOWED_ORIGINS"),
        passkey_domain=reader.domain_above("STOREFRONT_PASSKEY_DOMAIN", shop_url),
        trusted_proxies=reader.networks("STOREFRONT_TRUSTED_PROXIES", ()),
        metrics_allow=reader.networks("STOREFRONT_METRICS_ALLOW", LOOPBACK),
        limits=reader.limits("STOREFRONT_LIMITS"),
        database_url=reader.url("DATABASE_URL", "", ("postgresql", "postgres")),
        redis_url=redis_url,
        redis_wait_seconds=reader.number(
            "STOREFRONT_REDIS_WAIT_SECONDS", 0.2 if redis_url else 5, least=0.01, most=10
        ),
        smtp_url=reader.url("SMTP_URL", "", ("smtp", "smtps")),
        mail_from=reader.text("MAIL_FROM", "shop@localhost"),
        files_url=reader.files_url("STOREFRONT_FILES_URL"),
        s3_endpoint_url=reader.url("S3_ENDPOINT_URL", "", ("http", "https")).rstrip("/"),
        s3_region=reader.text("AWS_REGION", "us-east-1"),
        s3_access_key_id=reader.text("AWS_ACCESS_KEY_ID", ""),
        s3_secret_access_key=reader.text("AWS_SECRET_ACCESS_KEY", ""),
        picture_cache_mb=reader.whole("STOREFRONT_PICTURE_CACHE_MB", 512, least=1, most=1_000_000),
        stripe_secret_key=reader.text("STRIPE_SECRET_KEY", ""),
        stripe_publishable_key=reader.text("STRIPE_PUBLISHABLE_KEY", ""),
        stripe_api_base=reader.url("STRIPE_API_BASE", "", ("http", "https")).rstrip("/"),
        stripe_account_id=reader.text("STRIPE_ACCOUNT_ID", ""),
        stripe_webhook_secrets=reader.words("STRIPE_WEBHOOK_SECRETS"),
        paypal_client_id=reader.text("PAYPAL_CLIENT_ID", ""),
        paypal_client_secret=reader.text("PAYPAL_CLIENT_SECRET", ""),
        paypal_api_base=reader.url("PAYPAL_API_BASE", "", ("http", "https")).rstrip("/"),
        paypal_webhook_id=reader.text("PAYPAL_WEBHOOK_ID", ""),
        paypal_merchant_id=reader.text("PAYPAL_MERCHANT_ID", ""),
        google_client_ids=reader.words("GOOGLE_CLIENT_IDS"),
        google_issuer=google_issuer,
        google_jwks_url=reader.url(
            "GOOGLE_JWKS_URL", GOOGLE_JWKS_URL if google_issuer == GOOGLE_ISSUER else "", ("http", "https")
        ),
        facebook_app_id=reader.text("FACEBOOK_APP_ID", ""),
        facebook_app_secret=reader.text("FACEBOOK_APP_SECRET", ""),
        facebook_graph_url=reader.url("FACEBOOK_GRAPH_URL", FACEBOOK_GRAPH_URL, ("http", "https")).rstrip(
            "/"
        ),
        oidc_providers=reader.oidc_clients("OIDC_PROVIDERS"),
        carriers=reader.carriers("SHIPPING_CARRIERS"),
        carrier_seconds=reader.number("STOREFRONT_CARRIER_SECONDS", 2, least=0.1, most=10),
        reservation_seconds=reader.whole("STOREFRONT_RESERVATION_SECONDS", 900, least=1),
        checkout_seconds=reader.whole("STOREFRONT_CHECKOUT_SECONDS", 86_400, least=1),
        cart_seconds=reader.whole("STOREFRONT_CART_SECONDS", 7_776_000, least=1),
        abandoned_seconds=reader.whole("STOREFRONT_CART_ABANDONED_SECONDS", 86_400, least=1),
        session_seconds=reader.whole("STOREFRONT_SESSION_SECONDS", 86_400, least=1),
        remember_seconds=reader.whole("STOREFRONT_REMEMBER_SECONDS", 2_592_000, least=1),
        session_end_seconds=reader.whole("STOREFRONT_SESSION_END_SECONDS", 604_800, least=1),
        remember_end_seconds=reader.whole("STOREFRONT_REMEMBER_END_SECONDS", 31_536_000, least=1),
        login_link_seconds=reader.whole("STOREFRONT_LOGIN_LINK_SECONDS", 3_600, least=1),
        login_code_seconds=reader.whole("STOREFRONT_LOGIN_CODE_SECONDS", 600, least=1),
        fresh_login_seconds=reader.whole("STOREFRONT_FRESH_LOGIN_SECONDS", 900, least=1),
        reset_token_seconds=reader.whole("STOREFRONT_RESET_TOKEN_SECONDS", 3_600, least=1),
        verify_seconds=reader.whole("STOREFRONT_VERIFY_SECONDS", 604_800, least=1),
        argon2_memory_kib=reader.whole("STOREFRONT_ARGON2_MEMORY_KIB", 19_456, least=8, most=4_194_304),
        argon2_time_cost=reader.whole("STOREFRONT_ARGON2_TIME_COST", 2, least=1, most=100),
        argon2_parallelism=reader.whole("STOREFRONT_ARGON2_PARALLELISM", 1, least=1, most=64),
        reconcile_seconds=reader.number("STOREFRONT_RECONCILE_SECONDS", 30, least=0.1),
        queue_poll_seconds=reader.number("STOREFRONT_QUEUE_POLL_SECONDS", 2, least=0.05),
        recount_sold_seconds=reader.whole("STOREFRONT_RECOUNT_SOLD_SECONDS", 86_400, least=1),
        signature_window_seconds=reader.whole("STOREFRONT_SIGNATURE_WINDOW_SECONDS", 300, least=1),
        payment_wait_seconds=reader.number("STOREFRONT_PAYMENT_WAIT_SECONDS", 10, least=0.1, most=60),
        counts_seconds=reader.number("STOREFRONT_COUNTS_SECONDS", 4, least=0, most=60),
        idempotency_seconds=reader.whole("STOREFRONT_IDEMPOTENCY_SECONDS", 86_400, least=60),
        forget_seconds=reader.whole("STOREFRONT_FORGET_SECONDS", 2_592_000, least=60),
        database_pool_size=reader.whole("STOREFRONT_DATABASE_POOL", 10, least=1, most=200),
        reads_pool_size=reader.whole("STOREFRONT_READS_POOL", 10, least=1, most=200),
        cache_bytes=reader.whole("STOREFRONT_CACHE_BYTES", 16 * 1024 * 1024),
        demo=reader.choice("STOREFRONT_DEMO", "yes", ("yes", "no")) == "yes",
        log_level=reader.choice("LOG_LEVEL", "info", ("debug", "info", "warning", "error")),
        log_format=reader.choice("LOG_FORMAT", "json" if env == "production" else "text", ("text", "json")),
    )
    if bool(settings.facebook_app_id) != bool(settings.facebook_app_secret):
        reader.problems.append("FACEBOOK_APP_ID and FACEBOOK_APP_SECRET must both be set, or neither")
    if bool(settings.s3_access_key_id) != bool(settings.s3_secret_access_key):
        reader.problems.append("AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY must both be set, or neither")
    if bool(settings.paypal_client_id) != bool(settings.paypal_client_secret):
        reader.problems.append("PAYPAL_CLIENT_ID and PAYPAL_CLIENT_SECRET must both be set, or neither")
    if reader.problems:
        raise SettingsError("\n".join(reader.problems))
    return settings


def check_production(settings: Settings) -> list[str]:
    """Say, a line each, what stands in the way of production; empty where nothing does."""
    if not settings.is_production:
        return []
    problems = []
    if settings.secret_is_made:
        problems.append("STOREFRONT_SECRET_KEY is not set: production needs a secret of its own")
    problems.extend(
        f"STOREFRONT_SECRET_KEY number {number} is shorter than {MIN_SECRET_LENGTH} characters"
        for number, key in enumerate(settings.secret_keys, 1)
        if len(key) < MIN_SECRET_LENGTH
    )
    if not settings.database_url:
        problems.append("DATABASE_URL is not set: the embedded PostgreSQL is for development")
    if not settings.redis_url:
        problems.append("REDIS_URL is not set: the embedded Redis is for development")
    if not settings.smtp_url:
        problems.append("SMTP_URL is not set: mails would only be written to files")
    if not settings.public_url.startswith("https://"):
        problems.append("STOREFRONT_PUBLIC_URL must be an https address: it stands in every mailed link")
    if settings.paypal_api_base.startswith("http:"):
        problems.append(
            "PAYPAL_API_BASE must be an https address: whoever answers there decides what is paid"
        )
    vouching = {
        "GOOGLE_ISSUER": settings.google_issuer,
        "GOOGLE_JWKS_URL": settings.google_jwks_url,
        "FACEBOOK_GRAPH_URL": settings.facebook_graph_url,
    } | {f"OIDC_PROVIDERS: the issuer of {one.name}": one.issuer for one in settings.oidc_providers}
    problems.extend(
        f"{name} must be an https address: whoever answers there decides who logs in"
        for name, address in vouching.items()
        if address.startswith("http:")
    )
    return problems


def masked(settings: Settings) -> dict[str, Any]:
    """Every effective value for people to read, secrets as stars."""
    shown: dict[str, Any] = {}
    for item in fields(settings):
        value = getattr(settings, item.name)
        shown[item.name] = "****" if item.name in SECRET_FIELDS and value else value
    return shown
