"""Runs the revisions over the connection that app.db.migrations opened, inside its transaction and lock."""

import importlib
import pkgutil

from alembic import context

import app.domain
from app.db.base import Base
from app.db.migrations import has_model

# Autogeneration compares the database with the tables of every feature; the db package has some too.
for module in ("app.db.queue", "app.db.idempotency"):
    importlib.import_module(module)
for feature in pkgutil.iter_modules(app.domain.__path__, "app.domain."):
    if importlib.util.find_spec(f"{feature.name}.models"):
        importlib.import_module(f"{feature.name}.models")

connection = context.config.attributes["connection"]
if connection is None:
    raise SystemExit("Migrations run through `storefront migrate`, which holds the connection and the lock.")

context.configure(
    connection=connection, target_metadata=Base.metadata, compare_type=True, include_object=has_model
)
context.run_migrations()
