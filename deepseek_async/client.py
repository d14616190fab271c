"""The client: options, and what they are put together to."""

import os
import sys
from collections.abc import Callable, Mapping
from datetime import date, datetime
from pathlib import Path
from ssl import SSLContext
from types import TracebackType
from typing import (
    TYPE_CHECKING,
    Any,
    ClassVar,
    Literal,
    Never,
    Self,
    TypedDict,
    TypeVar,
    Unpack,
    cast,
    overload,
)

import msgspec

from deepseek_async._version import __version__
from deepseek_async.caller import Caller, Settings
from deepseek_async.checks import (
    PREFLIGHT_CHOICES,
    REPLAY_CHOICES,
    ApiKey,
    as_timeouts,
    check_api_key,
    check_choice,
    check_headers,
    check_retries,
)
from deepseek_async.environment import descriptor_limit
from deepseek_async.errors import PreflightError
from deepseek_async.gate import Gates, HeldPlaces
from deepseek_async.observers import Observer
from deepseek_async.observing import Observing
from deepseek_async.policy.dialect import (
    CONCURRENCY_CEILINGS,
    DEFAULT_BASE_URL,
    normalize_base_url,
    resolve_dialect,
)
from deepseek_async.resources.chat import Chat, ChatCompletions
from deepseek_async.resources.completions import Completions
from deepseek_async.resources.models import Models, User
from deepseek_async.session import SessionManager
from deepseek_async.totals import UsageTotals
from deepseek_async.types.options import Timeouts

if TYPE_CHECKING:
    from contextlib import AbstractAsyncContextManager

    from aiohttp import ClientSession

    from deepseek_async.batch.engine import Services
    from deepseek_async.batch.job import BatchJob
    from deepseek_async.batch.leases import LeaseLimiter
    from deepseek_async.batch.records import BatchRequest
    from deepseek_async.batch.report import BatchProgress
    from deepseek_async.batch.source import Requests
    from deepseek_async.types.batch import Budget
    from deepseek_async.types.chat import ChatCompletion

T = TypeVar("T")

_USER_AGENT = f"deepseek-async/{__version__} Python/{sys.version_info[0]}.{sys.version_info[1]}"


# Options and attributes of the OpenAI SDK's client that can't be here, and what to do instead.
_NO_ACCOUNTS = "DeepSeek tells accounts apart by their keys; leave it out"
_FOREIGN_OPTIONS = {
    "organization": _NO_ACCOUNTS,
    "project": _NO_ACCOUNTS,
    "http_client": "use session=..., an aiohttp.ClientSession, or proxy=... and ssl=...",
    "default_query": "pass extra_query=... to the calls",
    "websocket_base_url": "DeepSeek has no realtime API; leave it out",
    "webhook_secret": "DeepSeek has no webhooks; leave it out",
}
_NO_SUCH_API = "DeepSeek has no such API"
_FOREIGN_ATTRIBUTES = {
    "beta": "what was there is in client.chat.completions: parse(), stream()",
    "responses": "use client.chat.completions",
    "with_raw_response": "use client.chat.completions.with_raw_response",
    "with_streaming_response": "use client.chat.completions.create(stream=True), and its raw()",
    "copy": "use with_options()",
    "api_key": "the key isn't shown",
    **dict.fromkeys(
        (
            "assistants",
            "audio",
            "batches",
            "embeddings",
            "fine_tuning",
            "images",
            "moderations",
            "realtime",
        ),
        _NO_SUCH_API,
    ),
}


class _Copied(TypedDict, total=False):
    """Options that a copy of a client can change."""

    api_key: ApiKey
    base_url: str
    dialect: Literal["auto", "deepseek", "generic"]
    timeout: Timeouts | float | None
    max_retries: int
    max_concurrency: int | Literal["auto"]
    default_headers: Mapping[str, str]
    preflight: Literal["on", "off"]
    reasoning_replay: Literal["keep", "drop", "backfill"]


class AsyncDeepSeek:
    """Talks to DeepSeek, or a compatible host.

    Make one for the whole process and close it at its end, with ``async with`` or
    :meth:`aclose`. It may be used from any number of tasks, in several event loops and threads,
    and after a fork.

    Args:
        api_key: The key, or a function asked for it before each request, asynchronous if need
            be. Defaults to the environment's ``DEEPSEEK_API_KEY``.
        base_url: Where the API is, with its path if it has one. Defaults to
            ``DEEPSEEK_BASE_URL``, ``DEEPSEEK_API_BASE``, or DeepSeek's own address.
        dialect: ``"deepseek"`` or ``"generic"``; ``"auto"`` knows DeepSeek by its host name.
            Defaults to ``DEEPSEEK_DIALECT``, if that is set.
        timeout: The clocks of each call; a number of seconds sets ``Timeouts.total``.
        max_retries: How many further attempts after the first.
        max_concurrency: Most calls under way at once, first come, first served; a place is held
            from sending to the end of the answer. ``"auto"`` knows the documented ceilings of
            DeepSeek's models and goes below them when the server says so.
        default_headers: Sent with every request.
        session: A session of yours to use; it is never closed, and its limits and cookies apply.
            Only in its own event loop; and a kept connection that turns out to be closed counts
            as a failed attempt, since only our own connections are known to have been kept.
        proxy: URL of an HTTP proxy; wins over the environment.
        ssl: A TLS context, False to skip verification.
        trust_env: Use the proxies that the environment names.
        preflight: Refuse requests that DeepSeek would certainly refuse, and warn of parameters
            that it would ignore, before anything is sent; ``"off"`` sends all as it is. Of no
            effect on other hosts.
        reasoning_replay: What becomes of the reasoning in earlier answers that are sent back:
            ``"keep"`` it as it was, which DeepSeek wants; ``"drop"`` it for hosts that refuse it;
            ``"backfill"`` an empty one where the history lacks it but DeepSeek requires it.

    Raises:
        PreflightError: If an option can't be meant.
    """

    #: Is told of the calls of clients that are made from now on; see :attr:`observer`.
    default_observer: ClassVar[Observer | None] = None

    def __init__(
        self,
        api_key: ApiKey | None = None,
        *,
        base_url: str | None = None,
        dialect: Literal["auto", "deepseek", "generic"] = "auto",
        timeout: Timeouts | float | None = Timeouts(),  # noqa: B008
        max_retries: int = 2,
        max_concurrency: int | Literal["auto"] = "auto",
        default_headers: Mapping[str, str] | None = None,
        session: "ClientSession | None" = None,
        proxy: str | None = None,
        ssl: SSLContext | bool | None = None,
        trust_env: bool = True,
        preflight: Literal["on", "off"] = "on",
        reasoning_replay: Literal["keep", "drop", "backfill"] = "keep",
        # Nothing, for type checkers as well: taken to say what to use instead.
        **unknown: Never,
    ) -> None:
        for name in unknown:
            hint = _FOREIGN_OPTIONS.get(name)
            raise TypeError(
                f"AsyncDeepSeek() got an unexpected keyword argument {name!r}"
                + (f"; {hint}" if hint else "")
            )
        key = api_key if api_key is not None else os.environ.get("DEEPSEEK_API_KEY")
        if key is None:
            raise PreflightError(
                "no API key: pass api_key=... or set the environment variable DEEPSEEK_API_KEY"
            )
        url = normalize_base_url(
            base_url
            or os.environ.get("DEEPSEEK_BASE_URL")
            or os.environ.get("DEEPSEEK_API_BASE")
            or DEFAULT_BASE_URL
        )
        asked = (os.environ.get("DEEPSEEK_DIALECT") or dialect) if dialect == "auto" else dialect
        settings = Settings(
            api_key=key if callable(key) else check_api_key(key),
            base_url=url,
            dialect=resolve_dialect(asked, url),
            dialect_asked=asked,
            timeout=as_timeouts(timeout),
            max_retries=check_retries(max_retries),
            default_headers=check_headers(default_headers or {}),
            user_agent=_USER_AGENT,
            preflight=check_choice("preflight", preflight, PREFLIGHT_CHOICES),
            reasoning_replay=check_choice("reasoning_replay", reasoning_replay, REPLAY_CHOICES),
        )
        sessions = SessionManager(session=session, proxy=proxy, ssl=ssl, trust_env=trust_env)
        gates = _gates(settings, max_concurrency)
        observing = Observing(self.default_observer)
        self._put_together(settings, sessions, gates, UsageTotals(), observing, owner=True)

    def _put_together(
        self,
        settings: Settings,
        sessions: SessionManager,
        gates: Gates,
        totals: UsageTotals,
        observing: Observing,
        *,
        owner: bool,
    ) -> None:
        self._settings = settings
        self._sessions = sessions
        self._gates = gates
        self._owner = owner
        #: Tokens and cost of all answers by model, those of the client's copies included.
        self.usage = totals
        self._observing = observing
        caller = Caller(settings, sessions, gates, totals, observing)
        self.chat = Chat(caller)
        self.completions = Completions(caller)
        self.models = Models(caller)
        self.user = User(caller)

    @property
    def base_url(self) -> str:
        """Where requests go."""
        return self._settings.base_url

    @property
    def dialect(self) -> Literal["deepseek", "generic"]:
        """What the host is taken for."""
        return self._settings.dialect

    @property
    def timeout(self) -> Timeouts:
        """The clocks of each call."""
        return self._settings.timeout

    @property
    def max_retries(self) -> int:
        """How many further attempts after the first."""
        return self._settings.max_retries

    @property
    def observer(self) -> Observer | None:
        """Who is told of the calls, and of those of the client's copies; None for nobody.

        May be set at any time, and counts for the calls that are made from then on. Shared with
        the copies, those made before included.
        """
        return self._observing.observer

    @observer.setter
    def observer(self, observer: Observer | None) -> None:
        self._observing.observer = observer

    def with_options(self, **options: Unpack[_Copied]) -> "AsyncDeepSeek":
        """Return a copy with other options, which shares connections and concurrency limit.

        Closing the copy does nothing.

        Raises:
            TypeError: If an option belongs to the connections, which are shared.
            PreflightError: If an option can't be meant.
        """
        unknown = set(options) - set(_Copied.__annotations__)
        if unknown:
            shared = unknown & {"session", "proxy", "ssl", "trust_env"}
            name = min(shared or unknown)
            reason = "it belongs to the shared connections" if shared else "it doesn't exist"
            raise TypeError(
                f"with_options() can't change {name!r}: {_FOREIGN_OPTIONS.get(name, reason)}"
            )
        changes: dict[str, Any] = {}
        settings = self._settings
        if "api_key" in options:
            key = options["api_key"]
            changes["api_key"] = key if callable(key) else check_api_key(key)
        if "base_url" in options:
            changes["base_url"] = normalize_base_url(options["base_url"])
        if "dialect" in options:
            changes["dialect_asked"] = options["dialect"]
        if "base_url" in options or "dialect" in options:
            changes["dialect"] = resolve_dialect(
                changes.get("dialect_asked", settings.dialect_asked),
                changes.get("base_url", settings.base_url),
            )
        if "timeout" in options:
            changes["timeout"] = as_timeouts(options["timeout"])
        if "max_retries" in options:
            changes["max_retries"] = check_retries(options["max_retries"])
        if "default_headers" in options:
            changes["default_headers"] = check_headers(options["default_headers"])
        if "preflight" in options:
            changes["preflight"] = check_choice(
                "preflight", options["preflight"], PREFLIGHT_CHOICES
            )
        if "reasoning_replay" in options:
            changes["reasoning_replay"] = check_choice(
                "reasoning_replay", options["reasoning_replay"], REPLAY_CHOICES
            )
        changed = msgspec.structs.replace(settings, **changes)
        gates = self._gates
        if "max_concurrency" in options:
            gates = _gates(changed, options["max_concurrency"])
        copy = cast("AsyncDeepSeek", object.__new__(type(self)))
        copy._put_together(changed, self._sessions, gates, self.usage, self._observing, owner=False)
        return copy

    def batch(
        self,
        requests: "Requests",
        *,
        out: str | os.PathLike[str] | None = None,
        model: str | None = None,
        map: Callable[[Any], Any] | None = None,  # noqa: A002
        response_model: type[Any] | None = None,
        max_concurrency: int | Literal["auto"] = "auto",
        ordered: bool = False,
        dedupe: bool = False,
        budget: "Budget | None" = None,
        cache: Literal["auto", "off"] = "auto",
        schedule: Literal["any", "off_peak"] = "any",
        deadline: datetime | None = None,
        is_holiday: Callable[[date], bool] | None = None,
        on_402: Literal["stop", "pause"] = "stop",
        durability: Literal["group", "each", "none"] = "group",
        progress: "Callable[[BatchProgress], object] | None" = None,
        weight: float = 1.0,
        retry: bool = False,
        force: bool = False,
    ) -> "BatchJob":
        """Send many requests, as many at once as the server takes, and have each answered once.

        Use the job with ``async with`` and iterate it for :class:`BatchItem` objects, or ``await
        job.run()``. With ``out``, the same call made again goes on where an earlier one ended,
        whatever ended it.

        Args:
            requests: An iterable, sync or async, of :class:`BatchRequest` objects, of their dicts
                or of bodies; or the path of a JSONL file of them, as OpenAI's batches have it.
            out: The results file, which is the journal as well: one line in OpenAI's form for each
                answered request. Failed ones go to ``*.errors.jsonl`` beside it, which can be fed
                in again. None: nothing is written.
            model: The model of bodies that name none.
            map: Makes a request of each item.
            response_model: Parse the answers into this type, as ``parse`` does.
            max_concurrency: Most requests of the job at once. In any case the limit of the
                account is found by trying, and shared with all jobs and calls of the client.
            ordered: Hand out the items in the order of the input instead of as they finish.
            dedupe: Send identical requests once, and give the answer to all of them.
            budget: The most that the job may spend.
            cache: ``"auto"`` sends two requests of those with a common beginning ahead of the
                others, so that these are answered from the server's cache at a fraction of the
                price; ``"off"`` sends all in the order of the input.
            schedule: ``"off_peak"`` pauses while prices are doubled.
            deadline: When all must be finished. With ``"off_peak"`` the job goes on at peak
                prices if it would be late otherwise; else it sends nothing more from then on.
            is_holiday: Tells whether a day in Beijing is a public holiday, without peak prices.
            on_402: What to do when the balance is used up: stop, or pause until it is topped up.
            durability: ``"group"``: items are handed out once they are on the disk, written in
                groups of a tenth of a second; ``"each"``: one by one; ``"none"``: left to the
                system when.
            progress: Called four times a second with a :class:`BatchProgress`.
            weight: Share of the places, relative to other jobs of the client.
            retry: Send again what failed in earlier runs with this results file.
            force: Go on though the files were written with other settings or another input.

        Raises:
            PreflightError: If an option can't be meant.
            TypeError: If ``requests`` can't be iterated.
        """
        # Here, since most programs send no batches.
        from deepseek_async.batch.job import BatchJob
        from deepseek_async.batch.options import JobOptions

        options = JobOptions(
            out=None if out is None else Path(out),
            model=model,
            map=map,
            response_model=response_model,
            max_concurrency=max_concurrency,
            ordered=ordered,
            dedupe=dedupe,
            budget=budget,
            cache=cache,
            schedule=schedule,
            deadline=deadline,
            is_holiday=is_holiday,
            on_402=on_402,
            durability=durability,
            progress=progress,
            weight=weight,
            retry=retry,
            force=force,
        )
        return BatchJob(self._services(), requests, options)

    @overload
    async def gather(
        self,
        *bodies: "Mapping[str, Any] | BatchRequest",
        return_exceptions: Literal[False] = False,
        model: str | None = None,
        response_model: None = None,
        max_concurrency: int | Literal["auto"] = "auto",
    ) -> "list[ChatCompletion | Any]": ...

    @overload
    async def gather(
        self,
        *bodies: "Mapping[str, Any] | BatchRequest",
        return_exceptions: Literal[False] = False,
        model: str | None = None,
        response_model: type[T],
        max_concurrency: int | Literal["auto"] = "auto",
    ) -> list[T]: ...

    @overload
    async def gather(
        self,
        *bodies: "Mapping[str, Any] | BatchRequest",
        return_exceptions: bool,
        model: str | None = None,
        response_model: type[Any] | None = None,
        max_concurrency: int | Literal["auto"] = "auto",
    ) -> list[Any]: ...

    async def gather(
        self,
        *bodies: "Mapping[str, Any] | BatchRequest",
        return_exceptions: bool = False,
        model: str | None = None,
        response_model: type[Any] | None = None,
        max_concurrency: int | Literal["auto"] = "auto",
    ) -> list[Any]:
        """Send several requests at once and return their answers in the same order.

        Args:
            *bodies: The bodies, such as ``{"model": ..., "messages": [...]}``.
            return_exceptions: Return what failed in place of its answer, instead of raising the
                first failure, which cancels the others.
            model: The model of bodies that name none.
            response_model: Return values of this type instead of completions.
            max_concurrency: Most requests at once.

        Raises:
            DeepSeekError: If a request is not answered.
        """
        # Here, since most programs don't need it.
        from deepseek_async.batch.gathering import gather
        from deepseek_async.batch.options import JobOptions

        options = JobOptions(
            model=model,
            response_model=response_model,
            max_concurrency=max_concurrency,
            cache="off",
            at_once=len(bodies),
        )
        return await gather(self._services(), bodies, options, return_exceptions=return_exceptions)

    def limited_by(self, limiter: "LeaseLimiter") -> "AbstractAsyncContextManager[object]":
        """Share a limit with other processes, for as long as the context is entered.

        The limiter says again and again how many requests to each model this client may have under
        way, those of its copies and its batches included; what is beyond that waits, first come,
        first served. The client's own limit counts as well. Enter it in the process that makes the
        calls, as in a web application's lifespan; several event loops share one.

        Args:
            limiter: Divides the limit: :class:`~deepseek_async.batch.Leases` in one process, a
                ``RedisLimiter`` over several.

        Raises:
            RuntimeError: When it is entered, if another one is entered already.
        """
        # Here, since most programs are one process.
        from deepseek_async.batch.sharing import Sharing

        return Sharing(self._gates, limiter)

    def _services(self) -> "Services":
        """Return what a job needs of the client."""
        from deepseek_async.batch.engine import Services
        from deepseek_async.batch.sending import telling

        # The job has places and retries of its own.
        settings = msgspec.structs.replace(
            self._settings, max_retries=0, api_key=telling(self._settings.api_key)
        )
        caller = Caller(settings, self._sessions, HeldPlaces(), self.usage, self._observing)
        return Services(
            chat=ChatCompletions(caller),
            fim=Completions(caller),
            balance=self.user.balance,
            lane=self._gates.lane,
            learned=self._gates.learned,
            is_deepseek=self.dialect == "deepseek",
        )

    async def __aenter__(self) -> Self:
        if self._owner:
            await self._sessions.open()
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        """Close all connections, of all event loops; running streams fail."""
        if self._owner:
            await self._sessions.aclose()

    async def close(self) -> None:
        """Do what :meth:`aclose` does, under the name other SDKs use."""
        await self.aclose()

    if not TYPE_CHECKING:
        # Type checkers would take it to have any attribute.
        def __getattr__(self, name: str) -> Any:
            hint = _FOREIGN_ATTRIBUTES.get(name)
            raise AttributeError(
                f"{type(self).__name__!r} object has no attribute {name!r}"
                + (f": {hint}" if hint else ""),
                name=name,
                obj=self,
            )

    def __repr__(self) -> str:
        return f"AsyncDeepSeek(base_url={self.base_url!r}, dialect={self.dialect!r})"


def _gates(settings: Settings, max_concurrency: object) -> Gates:
    """Build the gates.

    Raises:
        PreflightError: If ``max_concurrency`` is neither ``"auto"`` nor a number above 0.
    """
    if max_concurrency != "auto" and (
        not isinstance(max_concurrency, int) or max_concurrency < 1 or max_concurrency is True
    ):
        raise PreflightError(
            f'max_concurrency must be "auto" or a whole number from 1 up, got {max_concurrency!r}'
        )
    asked = cast("int | str", max_concurrency)
    ceilings: Mapping[str, int] = CONCURRENCY_CEILINGS if settings.dialect == "deepseek" else {}
    return Gates(asked, ceilings, descriptor_limit(asked))
