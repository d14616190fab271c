"""``models`` and ``balance``."""

from rich.table import Table
from rich.text import Text

from deepseek_async.cli.clean import one_line
from deepseek_async.cli.connection import Target, connect
from deepseek_async.cli.failures import FAILED, FINE
from deepseek_async.cli.screen import Screen


async def show_models(target: Target, screen: Screen, *, json: bool = False) -> int:
    """List the models that the key may use, as a table or as the server's JSON."""
    async with connect(target) as connection:
        models = await connection.client.models.list()
    if json:
        screen.write(f"{models.to_json(indent=2)}\n")
        return FINE
    table = _table("model", "owned by")
    for model in models:
        table.add_row(_cell(model.id), _cell(model.owned_by or ""))
    screen.console.print(table)
    return FINE


async def show_balance(target: Target, screen: Screen, *, json: bool = False) -> int:
    """Show what the account has left, as a table or as the server's JSON.

    Fails if that doesn't suffice for requests.
    """
    async with connect(target) as connection:
        balance = await connection.client.user.balance()
    if json:
        # What to think of it, is_available tells.
        screen.write(f"{balance.to_json(indent=2)}\n")
        return FINE if balance.is_available else FAILED
    table = _table("currency", "total", "granted", "topped up", numbers=True)
    for info in sorted(balance.balance_infos, key=lambda info: info.currency):
        amounts = (info.total_balance, info.granted_balance, info.topped_up_balance)
        table.add_row(_cell(info.currency), *(f"{amount:,.2f}" for amount in amounts))
    screen.console.print(table)
    if balance.is_available:
        return FINE
    screen.line("The balance does not suffice for requests.")
    return FAILED


def _table(*columns: str, numbers: bool = False) -> Table:
    table = Table(box=None, header_style="bold", pad_edge=False, padding=(0, 2, 0, 0))
    for place, column in enumerate(columns):
        table.add_column(column, justify="right" if numbers and place else "left")
    return table


def _cell(text: str) -> Text:
    return Text(one_line(text))
