"""``client.models`` and ``client.user``."""

from typing import Unpack

from deepseek_async.caller import Caller
from deepseek_async.resources.raw import RawResponse, raw_result
from deepseek_async.types.account import Balance, ModelList
from deepseek_async.types.params import CallOptions


class Models:
    """The models that the API key may use."""

    def __init__(self, caller: Caller) -> None:
        self._caller = caller

    @property
    def with_raw_response(self) -> "RawModels":
        """The same call, returning status, headers and body as well."""
        return RawModels(self._caller)

    async def list(self, **options: Unpack[CallOptions]) -> ModelList:
        """Return the models; accepted aliases of older names are not listed.

        Raises:
            DeepSeekError: If the server could not be asked or refused.

        Source: https://api-docs.deepseek.com/api/list-models
        """
        call = self._caller.call("GET", "/models", options=options)
        return (await call.fetch(ModelList)).result


class User:
    """The account that the API key belongs to."""

    def __init__(self, caller: Caller) -> None:
        self._caller = caller

    @property
    def with_raw_response(self) -> "RawUser":
        """The same call, returning status, headers and body as well."""
        return RawUser(self._caller)

    async def balance(self, **options: Unpack[CallOptions]) -> Balance:
        """Return the account's balance, in each of its currencies.

        Raises:
            DeepSeekError: If the server could not be asked or refused.

        Source: https://api-docs.deepseek.com/api/get-user-balance
        """
        call = self._caller.call("GET", "/user/balance", options=options)
        return (await call.fetch(Balance)).result


class RawModels:
    """The call of :class:`Models` with status, headers and body."""

    def __init__(self, caller: Caller) -> None:
        self._caller = caller

    async def list(self, **options: Unpack[CallOptions]) -> RawResponse[ModelList]:
        """Return the models; see :meth:`Models.list`."""
        return await raw_result(self._caller.call("GET", "/models", options=options), ModelList)


class RawUser:
    """The call of :class:`User` with status, headers and body."""

    def __init__(self, caller: Caller) -> None:
        self._caller = caller

    async def balance(self, **options: Unpack[CallOptions]) -> RawResponse[Balance]:
        """Return the account's balance; see :meth:`User.balance`."""
        return await raw_result(self._caller.call("GET", "/user/balance", options=options), Balance)
