"""Clients that speak HTTP in ways of their own."""

from __future__ import annotations

import asyncio
import json
import logging

import pytest

from deepseek_async.simulator import Reply, Simulator

from .loopback import GUARD_SECONDS, Client, chat


async def said(sim: Simulator, head: bytes, body: bytes = b"") -> bytes:
    """What comes back until the server ends the connection."""
    host, port = sim.base_url.removeprefix("http://").split(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    writer.write(b"%b\r\nContent-Length: %d\r\n\r\n%b" % (head, len(body), body))
    try:
        async with asyncio.timeout(GUARD_SECONDS):
            return await reader.read()
    finally:
        writer.close()


def head(version: bytes, key: bytes, connection: bytes) -> bytes:
    return (
        b"POST /chat/completions HTTP/%b\r\nHost: x\r\nContent-Type: application/json\r\n"
        b"Authorization: Bearer %b\r\nConnection: %b" % (version, key, connection)
    )


@pytest.mark.parametrize("stream", [True, False])
async def test_http_1_0_clients_see_where_a_body_ends(client: Client, stream: bool) -> None:
    client.sim.script(Reply("Hi", first_token_seconds=0.01))
    body = json.dumps(chat(stream=stream)).encode()
    # It would like to keep the connection, but bodies without a length end with it.
    data = await said(client.sim, head(b"1.0", b"sk-x", b"keep-alive"), body)
    assert b'"Hi"' in data
    assert b"Transfer-Encoding" not in data


async def test_keys_that_are_no_text_are_refused(client: Client) -> None:
    data = await said(client.sim, head(b"1.1", b"sk-bad\xff\xfe", b"close"), b"{}")
    assert data.startswith(b"HTTP/1.1 401 ")


async def test_a_header_that_cant_be_read_isnt_logged(
    client: Client, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    data = await said(client.sim, head(b"1.1", b"sk-secret\x01", b"close"))
    assert b" 400 " in data.partition(b"\r\n")[0]
    assert "sk-secret" not in caplog.text
