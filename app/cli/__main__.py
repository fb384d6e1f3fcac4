"""`python -m app.cli` is `storefront`; the supervisor starts its children this way."""

from app.cli import main

main(prog_name="storefront")
