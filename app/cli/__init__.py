"""The `storefront` command: which commands there are. Each one's module is loaded when it is asked for."""

import importlib
from typing import Any, Final

import click

# name: (module with a click command called `command`, one line for --help)
COMMANDS: Final[dict[str, tuple[str, str]]] = {
    "dev": ("app.cli.dev", "Run the whole shop here: databases, server processes and a worker."),
    "serve": ("app.cli.serve", "Run the server processes."),
    "worker": ("app.cli.worker", "Run a worker that does what was put off: mails, webhooks, sweeps."),
    "migrate": ("app.cli.migrate", "Bring the database schema up to date, or back to a revision."),
    "import": ("app.cli.import_", "Load products from a file."),
    "apply": (
        "app.cli.apply",
        "Set a store up as a file says: currency, shipping, taxes, payment, collections, promotions, gift cards.",
    ),
    "rebuild-documents": ("app.cli.rebuild", "Make what readers are shown of products anew."),
    "files": ("app.cli.files", "Keep pictures in the shop's own store."),
    "order": ("app.cli.order", "Look after an order: show it, ship it, cancel it, give money back."),
    "giftcard": ("app.cli.giftcard", "Make gift cards, look one up, switch one off."),
    "credit": ("app.cli.credit", "Give a customer store credit."),
    "coupon": ("app.cli.coupon", "Make codes for a promotion."),
    "customer": ("app.cli.customer", "Help a customer: mail them a link that logs in, put them into groups."),
    "withdrawal": ("app.cli.withdrawal", "Decide on what customers ask to be paid out of their balance."),
    "job": ("app.cli.job", "See what the worker has given up, and have it tried again."),
    "doctor": ("app.cli.doctor", "Show the effective configuration and what is wrong with it."),
}


class Commands(click.Group):
    """Loads a command's module when it runs, so that --help and one command don't pay for all the others."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - click's signature
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002 - as above
        if cmd_name not in COMMANDS:
            return None
        command: click.Command = importlib.import_module(COMMANDS[cmd_name][0]).command
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002 - as above
        with formatter.section("Commands"):
            formatter.write_dl([(name, summary) for name, (_, summary) in COMMANDS.items()])

    def invoke(self, ctx: click.Context) -> Any:
        """Turn the errors that are meant for people into their one line."""
        from app.db.schema import SchemaNotCurrent  # noqa: PLC0415 - keeps --help fast
        from app.integrations.embedded.process import EmbeddedServerError  # noqa: PLC0415 - as above
        from app.settings import SettingsError  # noqa: PLC0415 - as above

        try:
            return super().invoke(ctx)
        except (EmbeddedServerError, SchemaNotCurrent, SettingsError) as error:
            raise click.ClickException(str(error)) from error


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="storefront")
def main() -> None:
    """Storefront, a headless shop: catalogue, cart, checkout, orders.

    Configuration comes from environment variables; `storefront doctor` shows what they amount to.
    """
