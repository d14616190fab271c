"""What the page asks of the server, beside the runs themselves."""

import asyncio
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, Literal, TypeVar, cast

import msgspec
from aiohttp import web

from deepseek_async import PRICES, AsyncDeepSeek, __version__
from deepseek_async.errors import DeepSeekError
from deepseek_async.live import Live, LiveError
from deepseek_async.ui.asking import Asker, Busy
from deepseek_async.ui.conversations import Conversation, Conversations, Question
from deepseek_async.ui.grid import Grid, most_streams
from deepseek_async.ui.vitals import Vitals

_MODELS = ("deepseek-flash", "deepseek-v4-pro")
_MODELS_SECONDS = 5.0
_MAX_TEXT = 100_000
_encode = msgspec.json.Encoder(decimal_format="number").encode

T = TypeVar("T")


class AskBody(msgspec.Struct, forbid_unknown_fields=True):
    """The body of a question."""

    text: str
    model: str
    effort: Literal["off", "low", "high", "max"] = "high"
    system: str = ""
    tools: bool = False
    on_leave: Literal["cancel", "continue"] = "cancel"
    conversation: str | None = None


class GridBody(msgspec.Struct, forbid_unknown_fields=True):
    """The body that starts many streams."""

    streams: int
    model: str


class Routes:
    """The handlers.

    Args:
        client: Whom to ask.
        live: Where the runs are held.
        model: The model that the page begins with.
        simulated: Whether the answers are made up.
        greet: Whether a new page asks its first question by itself.
    """

    def __init__(
        self, client: AsyncDeepSeek, live: Live, *, model: str, simulated: bool, greet: bool
    ) -> None:
        self._client = client
        self._live = live
        self._model = model
        self._simulated = simulated
        self._greet = greet
        self._models: list[str] | None = None
        self._vitals = Vitals()
        self.conversations = Conversations()
        self.asker = Asker(client, live, self.conversations)
        self.grid = Grid(client, live)

    def table(self) -> list[web.RouteDef]:
        """Return the routes."""
        return [
            web.get("/api/hello", self._hello),
            web.get("/api/models", self._list_models),
            web.get("/api/vitals", self._tell_vitals),
            web.get("/api/conversations", self._list),
            web.get("/api/conversations/{id}", self._read),
            web.delete("/api/conversations/{id}", self._forget),
            web.post("/api/conversations/{id}/retry", self._retry),
            web.post("/api/ask", self._ask),
            web.get("/api/grid", self._read_grid),
            web.post("/api/grid", self._start_grid),
            web.post("/api/grid/stop", self._stop_grid),
        ]

    async def aclose(self) -> None:
        """End what runs beside the requests."""
        self._vitals.close()
        await self.asker.aclose()

    async def _hello(self, request: web.Request) -> web.Response:
        """Tell the page where it is."""
        return _json(
            {
                "version": __version__,
                "server": "simulator" if self._simulated else self._client.base_url,
                "simulated": self._simulated,
                "model": self._model,
                "rates": _rates(self._model) if self._client.dialect == "deepseek" else None,
                "greet": self._greet and not len(self.conversations),
                "streams": most_streams(),
            }
        )

    async def _list_models(self, request: web.Request) -> web.Response:
        if self._models is None:
            try:
                async with asyncio.timeout(_MODELS_SECONDS):
                    listed = await self._client.models.list()
                self._models = [model.id for model in listed.data]
            except (DeepSeekError, TimeoutError):
                # The first question will tell what is wrong.
                return _json([self._model, *(name for name in _MODELS if name != self._model)])
        return _json([self._model, *(name for name in self._models if name != self._model)])

    async def _tell_vitals(self, request: web.Request) -> web.Response:
        """Tell how the server does, and who reads a run."""
        run = self._live.get(request.query.get("run", ""))
        return _json(
            {
                "lag": round(self._vitals.lag, 4),
                "cpu": round(self._vitals.cpu, 3),
                "readers": None if run is None else run.readers,
            }
        )

    async def _list(self, request: web.Request) -> web.Response:
        return _json([each.summary() for each in self.conversations.latest_first()])

    async def _read(self, request: web.Request) -> web.Response:
        return _json(self._conversation(request).describe())

    async def _forget(self, request: web.Request) -> web.Response:
        conversation = self._conversation(request)
        self.conversations.forget(conversation)
        for turn in conversation.turns[-1:]:
            await turn.run.stop()
        return _json({})

    async def _ask(self, request: web.Request) -> web.Response:
        body = await _body(request, AskBody)
        text = body.text.strip()
        if not text or len(text) + len(body.system) > _MAX_TEXT:
            raise _refusal(
                400, f"A question has 1 to {_MAX_TEXT:,} characters, instructions included."
            )
        conversation = Conversation()
        if body.conversation is not None:
            known = self.conversations.get(body.conversation)
            if known is None:
                raise _refusal(404, "This conversation has been forgotten; begin a new one.")
            conversation = known
        question = Question(
            text,
            body.model,
            effort=body.effort,
            system=body.system.strip(),
            tools=body.tools,
            on_leave=body.on_leave,
        )
        return await self._begun(conversation, self.asker.ask(conversation, question))

    async def _retry(self, request: web.Request) -> web.Response:
        conversation = self._conversation(request)
        return await self._begun(conversation, self.asker.retry(conversation))

    async def _begun(self, conversation: Conversation, asking: Any) -> web.Response:
        try:
            turn = await asking
        except Busy as exc:
            raise _refusal(409, f"{exc}.".capitalize()) from exc
        except LiveError as exc:
            raise _refusal(503, "Too much is going on; try again in a moment.") from exc
        return _json({**conversation.summary(), "turn": turn.describe()})

    async def _read_grid(self, request: web.Request) -> web.Response:
        return _json({"runs": self.grid.runs})

    async def _start_grid(self, request: web.Request) -> web.Response:
        body = await _body(request, GridBody)
        if not 1 <= body.streams <= most_streams():
            raise _refusal(400, f"From 1 to {most_streams()} streams run at once here.")
        try:
            return _json({"runs": await self.grid.start(body.streams, body.model)})
        except LiveError as exc:
            raise _refusal(503, "Too much is going on; try again in a moment.") from exc

    async def _stop_grid(self, request: web.Request) -> web.Response:
        await self.grid.stop()
        return _json({})

    def _conversation(self, request: web.Request) -> Conversation:
        conversation = self.conversations.get(request.match_info["id"])
        if conversation is None:
            raise _refusal(404, "This conversation has been forgotten.")
        return conversation


def _rates(model: str) -> Mapping[str, float] | None:
    """Return what a million tokens cost now, for estimates while an answer is written."""
    rates = PRICES.rates(model, datetime.now(UTC))
    return None if rates is None else {"output": float(rates.output), "miss": float(rates.miss)}


def _json(value: object) -> web.Response:
    return web.Response(
        body=_encode(value),
        content_type="application/json",
        headers={"Cache-Control": "no-store"},
    )


async def _body(request: web.Request, cls: type[T]) -> T:
    """Decode a body; its size has a limit already.

    Raises:
        web.HTTPException: If it is none of this kind; the text says why.
    """
    try:
        return msgspec.json.decode(await request.read(), type=cls)
    except (msgspec.DecodeError, UnicodeDecodeError) as exc:
        raise _refusal(400, f"The request makes no sense: {exc}.") from exc


def _refusal(status: int, text: str) -> web.HTTPException:
    cls = cast("type[web.HTTPException]", _REFUSALS[status])
    return cls(text=text)


_REFUSALS = {
    400: web.HTTPBadRequest,
    404: web.HTTPNotFound,
    409: web.HTTPConflict,
    503: web.HTTPServiceUnavailable,
}
