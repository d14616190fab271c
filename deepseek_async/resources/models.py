"""``client.models`` and ``client.user``."""

from typing import Unpack

from deepseek_async.caller import Caller
from deepseek_async.types.account import Balance, ModelList
from deepseek_async.types.params import CallOptions


class Models:
    """The models that the API key may use."""

    def __init__(self, caller: Caller) -> None:
        self._caller = caller

    async def list(self, **options: Unpack[CallOptions]) -> ModelList:
        """Return the models; accepted aliases of older names are not listed.

        Raises:
            DeepSeekError: If the server could not be asked or refused.

        Source: https://api-docs.deepseek.com/api/list-models
        """
        return await self._caller.call("GET", "/models", options=options).fetch(ModelList)


class User:
    """The account that the API key belongs to."""

    def __init__(self, caller: Caller) -> None:
        self._caller = caller

    async def balance(self, **options: Unpack[CallOptions]) -> Balance:
        """Return the account's balance, in each of its currencies.

        Raises:
            DeepSeekError: If the server could not be asked or refused.

        Source: https://api-docs.deepseek.com/api/get-user-balance
        """
        return await self._caller.call("GET", "/user/balance", options=options).fetch(Balance)
