"""What a command finds around it: settings fit for its mode, and databases to work with."""

import contextlib
import os
import secrets
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Final

import click

from app.integrations.embedded.postgres import find_running_postgres, start_postgres
from app.integrations.embedded.process import is_running
from app.integrations.embedded.redis import find_running_redis, start_redis
from app.settings import Settings, check_production, load_settings

PORT_NOTE: Final = "port"


def production_checked_settings(found: Settings | None = None) -> Settings:
    """The settings; in production mode only where nothing of development is left in them."""
    settings = found or load_settings()
    problems = check_production(settings)
    if problems:
        raise click.ClickException("not fit for production:\n" + "\n".join(f"  {line}" for line in problems))
    if settings.secret_is_made:
        return replace(settings, secret_keys=(development_secret(settings.data_dir),))
    return settings


def development_secret(data_dir: Path) -> str:
    """The secret that development makes for itself once, so that processes and restarts share it."""
    data_dir.mkdir(parents=True, exist_ok=True)
    kept = data_dir / "development-secret"
    # Made beside and linked into place: of two first starts one wins, and both read a whole secret.
    fresh = data_dir / f".development-secret.{os.getpid()}"
    fresh.write_text(secrets.token_urlsafe(48), encoding="ascii")
    fresh.chmod(0o600)
    try:
        with contextlib.suppress(FileExistsError):
            os.link(fresh, kept)
    finally:
        fresh.unlink()
    return kept.read_text(encoding="ascii")


@contextlib.contextmanager
def with_databases(settings: Settings, *, redis: bool = False) -> Iterator[Settings]:
    """The settings with URLs filled in: as configured, else the running `storefront dev` of this data folder,
    else embedded servers that live as long as the block.
    """
    with contextlib.ExitStack() as stack:
        if not settings.database_url:
            folder = settings.data_dir / "postgres"
            url = find_running_postgres(folder) or stack.enter_context(start_postgres(folder)).url
            settings = replace(settings, database_url=url)
        if redis and not settings.redis_url:
            folder = settings.data_dir / "redis"
            url = find_running_redis(folder) or stack.enter_context(start_redis(folder, keeps=True)).url
            settings = replace(settings, redis_url=url)
        yield settings


@contextlib.contextmanager
def noted_port(settings: Settings) -> Iterator[None]:
    """While the block runs, other commands can find out at which port the shop of this data folder listens."""
    settings.data_dir.mkdir(parents=True, exist_ok=True)
    note = settings.data_dir / PORT_NOTE
    note.write_text(f"{os.getpid()} {settings.port}", encoding="ascii")
    try:
        yield
    finally:
        note.unlink(missing_ok=True)


def found_settings() -> Settings:
    """The settings; where no PORT is set, with that of the running `storefront dev` of this data folder."""
    settings = load_settings()
    if os.environ.get("PORT", "").strip():
        return settings
    try:
        pid, port = (settings.data_dir / PORT_NOTE).read_text(encoding="ascii").split()
        running = is_running(int(pid))
    except (OSError, ValueError):
        return settings
    return load_settings({**os.environ, "PORT": port}) if running else settings


def child_environ(settings: Settings) -> dict[str, str]:
    """The environment in which a child process arrives at the same settings."""
    environ = {
        **os.environ,
        "PORT": str(settings.port),
        "STOREFRONT_WORKERS": str(settings.workers),
        "STOREFRONT_DATA_DIR": str(settings.data_dir),
        "STOREFRONT_SECRET_KEY": ",".join(settings.secret_keys),
        "DATABASE_URL": settings.database_url,
        "REDIS_URL": settings.redis_url,
        "STOREFRONT_REDIS_WAIT_SECONDS": str(settings.redis_wait_seconds),
    }
    return {name: value for name, value in environ.items() if value}
