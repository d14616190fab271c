"""The side of the scheduler of Dask: it divides the limit of each run, in its own event loop."""

from typing import Any

import msgspec

from deepseek_async.integrations.boards import Board, Heard

#: What the scheduler answers to: changes whenever its answers do.
HANDLER = "deepseek_async_board_1"


class _Boards:
    """The boards of all runs of one scheduler; it answers in the scheduler's event loop."""

    def __init__(self, scheduler: Any) -> None:
        self._scheduler = scheduler
        # Name of a run -> the client that it belongs to, and its board.
        self._boards: dict[str, tuple[str, Board]] = {}

    def open(self, run: str, client: str, total: int) -> None:
        """Begin a run."""
        self._forget_lost()
        self._boards[run] = client, Board(total)

    async def answer(self, run: str, action: str, **values: Any) -> dict[str, Any]:
        """Answer a worker or the client."""
        self._forget_lost()
        board = self._boards[run][1] if run in self._boards else None
        if board is None:
            # Its client is gone: nobody waits for the shard any more.
            return {"permits": 0, "over": True, **msgspec.structs.asdict(Heard())}
        match action:
            case "renew":
                return {**board.renew(**values)}
            case "drop":
                return {**board.drop(**values)}
            case "heard":
                return dict(board.heard())
            case "stop":
                board.stop()
            case "close":
                del self._boards[run]
            case _:
                raise ValueError(f"a board knows no {action!r}")
        return {}

    def _forget_lost(self) -> None:
        clients = self._scheduler.clients
        lost = [name for name, (client, _) in self._boards.items() if client not in clients]
        for name in lost:
            del self._boards[name]


def open_board(dask_scheduler: Any, *, run: str, client: str, total: int) -> None:
    """Begin a run; this is what the scheduler is asked to call.

    Args:
        dask_scheduler: The scheduler, which gives itself.
        run: The name of the run.
        client: The client whose end is that of the run.
        total: Most requests at once.
    """
    boards = getattr(dask_scheduler, HANDLER, None)
    if boards is None:
        boards = _Boards(dask_scheduler)
        setattr(dask_scheduler, HANDLER, boards)
        dask_scheduler.handlers[HANDLER] = boards.answer
    boards.open(run, client, total)
