"""Reading streamed answers over real sockets."""

import asyncio
import json

import pytest

from deepseek_async import (
    ChatCompletionChunk,
    EventTooLargeError,
    StreamInterruptedError,
    StreamServerError,
)
from tests.loopback.peer import (
    ASK,
    DONE,
    FINISH,
    GUARD,
    KEEP_ALIVE,
    ROLE,
    STREAM_HEAD,
    TERMINATOR,
    USAGE,
    Connection,
    answering,
    event,
    http_chunk,
    serving,
    text,
)

REASONING = [
    event({"role": "assistant", "content": None, "reasoning_content": ""}),
    event({"content": None, "reasoning_content": "Let me "}),
    event({"content": None, "reasoning_content": "think."}),
    event({"content": "It ", "reasoning_content": None}),
    event({"content": "is.", "reasoning_content": None}),
    event({"content": "", "reasoning_content": None}, "stop", usage=USAGE),
    DONE,
]


def _piece(index: int, arguments: str, **head: str) -> dict[str, object]:
    function = {"arguments": arguments}
    if "name" in head:
        function = {"name": head.pop("name"), **function}
    return {"index": index, **head, "function": function}


TOOLS = [
    ROLE,
    event({"tool_calls": [_piece(0, "", id="call_00_a", type="function", name="weather")]}),
    event({"tool_calls": [_piece(0, '{"city":')]}),
    event({"tool_calls": [_piece(0, '"Oslo"}')]}),
    event({"tool_calls": [_piece(1, "", id="call_01_b", type="function", name="time")]}),
    event({"tool_calls": [_piece(1, "{}")]}),
    event({"content": ""}, "tool_calls", usage=USAGE),
    DONE,
]


async def test_create_yields_each_chunk_and_adds_them_up() -> None:
    async with serving(answering(ROLE, text("Hel"), text("lo"), FINISH, DONE)) as (_, client):
        stream = await client.chat.completions.create(**ASK, stream=True)
        chunks = [chunk async for chunk in stream]

    assert len(chunks) == 4
    assert all(isinstance(chunk, ChatCompletionChunk) for chunk in chunks)
    assert stream.completion().choices[0].message.content == "Hello"
    assert stream.finish_reason == "stop"
    assert stream.usage is not None
    assert stream.usage.total_tokens == 7
    assert stream.saw_done
    assert stream.attempts == 1
    assert stream.response is not None
    assert stream.response.status == 200
    assert stream.request_id == stream.completion().request_id == "0123456789abcdef" * 2


async def test_completion_holds_just_what_was_delivered() -> None:
    async with serving(answering(ROLE, text("a"), text("b"), text("c"), FINISH, DONE)) as (
        _,
        client,
    ):
        stream = await client.chat.completions.create(**ASK, stream=True)
        seen = ""
        async for chunk in stream:
            seen += chunk.choices[0].delta.content or ""
            assert stream.completion().choices[0].message.content == seen


async def test_events_tell_reasoning_then_content_then_the_end() -> None:
    async with serving(answering(*REASONING)) as (_, client):
        async with client.chat.completions.stream(**ASK) as stream:
            events = [event async for event in stream]

    assert [event.type for event in events] == [
        "reasoning.delta",
        "reasoning.delta",
        "reasoning.done",
        "content.delta",
        "content.delta",
        "content.done",
        "done",
    ]
    done = {event.type: event for event in events}
    assert getattr(done["reasoning.done"], "text", None) == "Let me think."
    assert getattr(done["content.done"], "text", None) == "It is."
    assert getattr(done["done"], "finish_reason", None) == "stop"


async def test_events_tell_tool_calls_in_index_order() -> None:
    async with serving(answering(*TOOLS)) as (_, client):
        async with client.chat.completions.stream(**ASK) as stream:
            events = [event async for event in stream]

    done = [event for event in events if event.type == "tool_calls.function.arguments.done"]
    assert [(call.index, call.id, call.name, call.arguments) for call in done] == [
        (0, "call_00_a", "weather", '{"city":"Oslo"}'),
        (1, "call_01_b", "time", "{}"),
    ]
    assert done[0].parsed() == {"city": "Oslo"}
    deltas = [event for event in events if event.type == "tool_calls.function.arguments.delta"]
    assert [(d.index, d.id, d.name, d.arguments_delta) for d in deltas] == [
        (0, "call_00_a", "weather", ""),
        (0, "call_00_a", "weather", '{"city":'),
        (0, "call_00_a", "weather", '"Oslo"}'),
        (1, "call_01_b", "time", ""),
        (1, "call_01_b", "time", "{}"),
    ]


async def test_no_call_is_told_done_after_a_cut() -> None:
    async with serving(answering(*TOOLS[:4])) as (_, client):
        seen: list[str] = []
        async with client.chat.completions.stream(**ASK) as stream:
            with pytest.raises(StreamInterruptedError) as caught:
                async for each in stream:
                    seen.append(each.type)

    assert "tool_calls.function.arguments.done" not in seen
    assert "done" not in seen
    assert caught.value.partial is not None
    calls = caught.value.partial.choices[0].message.tool_calls
    assert calls is not None
    assert calls[0].function.arguments == '{"city":"Oslo"}'


async def test_each_keep_alive_before_the_first_chunk_is_a_queued_event() -> None:
    async with (
        serving(
            answering(KEEP_ALIVE, KEEP_ALIVE, ROLE, KEEP_ALIVE, text("x"), KEEP_ALIVE, FINISH, DONE)
        ) as (_, client),
        client.chat.completions.stream(**ASK) as stream,
    ):
        events = [event async for event in stream]

    assert [event.type for event in events].count("queued") == 2
    assert [event.type for event in events[:2]] == ["queued", "queued"]
    assert all(event.elapsed >= 0 for event in events if event.type == "queued")


async def test_queued_events_come_while_the_server_still_waits() -> None:
    seen = asyncio.Event()

    async def queue(connection: Connection) -> None:
        await connection.request()
        await connection.write(STREAM_HEAD, http_chunk(KEEP_ALIVE))
        await seen.wait()
        await connection.write(b"".join(map(http_chunk, [ROLE, text("x"), FINISH, DONE])))
        await connection.write(TERMINATOR)

    async with asyncio.timeout(GUARD), serving(queue) as (_, client):
        async with client.chat.completions.stream(**ASK) as stream:
            assert (await anext(aiter(stream))).type == "queued"
            seen.set()
            assert (await stream.get_final_text()) == "x"


async def test_chunks_are_events_too_if_asked_for() -> None:
    async with serving(answering(ROLE, text("x"), FINISH, DONE)) as (_, client):
        async with client.chat.completions.stream(**ASK, chunks=True) as stream:
            types = [event.type async for event in stream]
    assert types == ["chunk", "chunk", "content.delta", "chunk", "content.done", "done"]


async def test_logprobs_come_as_events() -> None:
    logprob = {"token": "x", "logprob": -0.5, "bytes": [120], "top_logprobs": []}
    chunk = json.loads(text("x")[6:])
    chunk["choices"][0]["logprobs"] = {"content": [logprob]}
    data = b"data: " + json.dumps(chunk).encode() + b"\n\n"
    async with serving(answering(ROLE, data, FINISH, DONE)) as (_, client):
        async with client.chat.completions.stream(**ASK, logprobs=True) as stream:
            events = [event async for event in stream]
            snapshot = stream.snapshot
    found = [event for event in events if event.type == "logprobs.delta"]
    assert len(found) == 1
    assert found[0].content is not None
    assert found[0].content[0].logprob == -0.5
    assert snapshot.choices[0].logprobs is not None


async def test_text_stream_yields_the_text_alone() -> None:
    async with serving(answering(*REASONING)) as (_, client):
        async with client.chat.completions.stream(**ASK) as stream:
            assert [piece async for piece in stream.text_stream] == ["It ", "is."]
        assert stream.snapshot.choices[0].message.reasoning_content == "Let me think."


async def test_reasoning_stream_yields_the_reasoning_alone() -> None:
    async with serving(answering(*REASONING)) as (_, client):
        async with client.chat.completions.stream(**ASK) as stream:
            assert [piece async for piece in stream.reasoning_stream] == ["Let me ", "think."]


async def test_a_stream_helper_opens_itself_without_a_block() -> None:
    async with serving(answering(*REASONING)) as (_, client):
        assert await client.chat.completions.stream(**ASK).get_final_text() == "It is."


async def test_snapshot_is_cached_until_more_comes() -> None:
    async with serving(answering(ROLE, text("a"), text("b"), FINISH, DONE)) as (_, client):
        async with client.chat.completions.stream(**ASK) as stream:
            await anext(stream)
            first = stream.snapshot
            assert stream.snapshot is first
            assert first.choices[0].message.content == "a"
            await anext(stream)
            assert stream.snapshot is not first
            assert stream.snapshot.choices[0].message.content == "ab"


async def test_a_stream_can_be_read_in_one_way_only() -> None:
    async with serving(answering(*REASONING)) as (_, client):
        async with client.chat.completions.stream(**ASK) as stream:
            await anext(stream.text_stream)
            with pytest.raises(RuntimeError, match="already being read as text_stream"):
                await anext(stream.reasoning_stream)


async def test_a_second_iteration_of_a_finished_stream_raises() -> None:
    async with serving(answering(*REASONING)) as (_, client):
        stream = await client.chat.completions.create(**ASK, stream=True)
        async for _ in stream:
            pass
        with pytest.raises(RuntimeError, match="read to its end"):
            async for _ in stream:
                pass


async def test_a_stream_can_be_handed_on() -> None:
    async with serving(answering(ROLE, text("a"), text("b"), FINISH, DONE)) as (_, client):
        stream = await client.chat.completions.create(**ASK, stream=True)
        async for _ in stream:
            break

        async def rest() -> int:
            return len([chunk async for chunk in stream])

        assert await asyncio.create_task(rest()) == 3
        assert stream.completion().choices[0].message.content == "ab"


async def test_two_tasks_reading_at_once_is_an_error() -> None:
    ready = asyncio.Event()

    async def slow(connection: Connection) -> None:
        await connection.request()
        await connection.write(STREAM_HEAD)
        await ready.wait()
        await connection.write(b"".join(map(http_chunk, [text("x"), FINISH, DONE])) + TERMINATOR)

    async with asyncio.timeout(GUARD), serving(slow) as (_, client):
        stream = await client.chat.completions.create(**ASK, stream=True)
        first = asyncio.create_task(anext(stream))
        await asyncio.sleep(0)
        with pytest.raises(RuntimeError, match="another task"):
            await anext(stream)
        ready.set()
        # The first reader is not disturbed.
        assert (await first).choices[0].delta.content == "x"
        assert len([chunk async for chunk in stream]) == 1


async def test_raw_yields_the_events_as_they_came() -> None:
    events = [KEEP_ALIVE, ROLE, text("é\u2028"), FINISH, DONE]
    async with serving(answering(*events)) as (_, client):
        stream = await client.chat.completions.create(**ASK, stream=True)
        assert [each async for each in stream.raw()] == events
        assert stream.completion().choices[0].message.content == "é\u2028"


async def test_raw_fails_like_chunks_after_the_bytes_it_has() -> None:
    async with serving(answering(ROLE, text("x"))) as (_, client):
        stream = await client.chat.completions.create(**ASK, stream=True)
        seen: list[bytes] = []
        with pytest.raises(StreamInterruptedError):
            async for each in stream.raw():
                seen.append(each)
        assert seen == [ROLE, text("x")]


async def test_accumulate_false_keeps_nothing_but_the_end() -> None:
    async with serving(answering(*TOOLS)) as (_, client):
        stream = await client.chat.completions.create(**ASK, stream=True, accumulate=False)
        async for _ in stream:
            pass
        assert stream.finish_reason == "tool_calls"
        assert stream.usage is not None
        with pytest.raises(RuntimeError, match="accumulate=False"):
            stream.completion()


async def test_events_without_accumulation_know_which_call_they_belong_to() -> None:
    async with serving(answering(*TOOLS)) as (_, client):
        async with client.chat.completions.stream(**ASK, accumulate=False) as stream:
            events = [event async for event in stream]
    deltas = [event for event in events if event.type == "tool_calls.function.arguments.delta"]
    assert [(d.index, d.name) for d in deltas][-1] == (1, "time")
    assert events[-1].type == "done"


async def test_a_failure_without_accumulation_has_no_partial() -> None:
    async with serving(answering(ROLE, text("x"))) as (_, client):
        async with client.chat.completions.stream(**ASK, accumulate=False) as stream:
            with pytest.raises(StreamInterruptedError) as caught:
                await stream.until_done()
    assert caught.value.partial is None


async def test_done_without_finish_reason_is_complete() -> None:
    async with serving(answering(ROLE, text("x"), DONE)) as (_, client):
        async with client.chat.completions.stream(**ASK) as stream:
            events = [event async for event in stream]
    assert [event.type for event in events] == ["content.delta", "content.done", "done"]
    assert stream.finish_reason is None


async def test_finish_reason_and_a_clean_end_is_complete_without_done() -> None:
    async with serving(answering(ROLE, text("x"), FINISH)) as (_, client):
        stream = await client.chat.completions.create(**ASK, stream=True)
        assert len([chunk async for chunk in stream]) == 3
        assert not stream.saw_done


async def test_an_unterminated_done_at_the_end_counts() -> None:
    async with serving(answering(ROLE, text("x"), b"data: [DONE]")) as (_, client):
        stream = await client.chat.completions.create(**ASK, stream=True)
        assert len([chunk async for chunk in stream]) == 2
        assert stream.saw_done


async def test_an_error_object_ends_the_stream_after_what_came_before_it() -> None:
    error = b'data: {"error":{"message":"Server busy","type":"server_error","code":"x"}}\n\n'
    async with serving(answering(ROLE, text("x"), error)) as (_, client):
        stream = await client.chat.completions.create(**ASK, stream=True)
        seen: list[ChatCompletionChunk] = []
        with pytest.raises(StreamServerError, match="Server busy") as caught:
            async for chunk in stream:
                seen.append(chunk)
    assert len(seen) == 2
    assert caught.value.partial is not None
    assert caught.value.body == {"message": "Server busy", "type": "server_error", "code": "x"}
    assert caught.value.request_id == "0123456789abcdef" * 2


async def test_a_failed_stream_fails_again_and_never_looks_complete() -> None:
    async with serving(answering(ROLE, text("x"))) as (_, client):
        stream = await client.chat.completions.create(**ASK, stream=True)
        for _ in range(2):
            with pytest.raises(StreamInterruptedError, match="without a finish_reason"):
                async for _ in stream:
                    pass


async def test_a_garbage_event_interrupts_the_stream() -> None:
    async with serving(answering(ROLE, text("x"), b"data: <html>\n\n", FINISH, DONE)) as (
        _,
        client,
    ):
        stream = await client.chat.completions.create(**ASK, stream=True)
        with pytest.raises(StreamInterruptedError, match="not JSON") as caught:
            async for _ in stream:
                pass
    assert caught.value.partial is not None


async def test_an_event_above_the_limit_is_refused() -> None:
    async with serving(answering(ROLE, text("x"), text("y" * 5000))) as (_, client):
        stream = await client.chat.completions.create(**ASK, stream=True, max_event_size=4096)
        with pytest.raises(EventTooLargeError, match="4096") as caught:
            async for _ in stream:
                pass
    assert caught.value.partial is not None


async def test_a_json_error_instead_of_a_stream_is_told() -> None:
    body = b'{"error": {"message": "no more", "type": "invalid_request_error"}}'
    head = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n"

    async def handle(connection: Connection) -> None:
        await connection.request()
        await connection.write(head % len(body) + body)

    async with serving(handle) as (_, client):
        stream = await client.chat.completions.create(**ASK, stream=True)
        with pytest.raises(StreamServerError, match="no more"):
            await anext(stream)


async def test_a_page_instead_of_a_stream_is_quoted() -> None:
    body = b"<html>Please log in</html>"
    head = b"HTTP/1.1 200 OK\r\ncontent-type: text/html\r\ncontent-length: %d\r\n\r\n"

    async def handle(connection: Connection) -> None:
        await connection.request()
        await connection.write(head % len(body) + body)

    async with serving(handle) as (_, client):
        stream = await client.chat.completions.create(**ASK, stream=True)
        with pytest.raises(StreamInterruptedError, match="Please log in"):
            await anext(stream)


HARD_TEXTS = {
    "non-ASCII": "naïve 深度求索",
    "line separators": "a\u2028b\u2029c\x85d\x0be\x1cf",
    "NUL": "a\x00b",
    "emoji": "🐳👩\u200d👩\u200d👧 🏳\ufe0f\u200d🌈",
    "looks like SSE": 'data: [DONE]\n\ndata: {"x":1}\n\n: hi',
    "1 MiB": "0123456789abcdef" * 65536,
}


@pytest.mark.parametrize("content", HARD_TEXTS.values(), ids=HARD_TEXTS)
async def test_hard_texts_arrive_unharmed(content: str) -> None:
    async with serving(answering(ROLE, text(content), FINISH, DONE)) as (_, client):
        assert await client.chat.completions.stream(**ASK).get_final_text() == content


async def test_one_byte_segments_give_the_same_answer() -> None:
    body = b"".join(map(http_chunk, REASONING)) + TERMINATOR

    async def drip(connection: Connection) -> None:
        await connection.request()
        for byte in STREAM_HEAD + body:
            await connection.write(bytes([byte]))
            await asyncio.sleep(0)

    async with serving(drip) as (_, client):
        assert await client.chat.completions.stream(**ASK).get_final_text() == "It is."


async def test_one_byte_http_chunks_give_the_same_answer() -> None:
    async def drip(connection: Connection) -> None:
        await connection.request()
        chunks = [http_chunk(bytes([byte])) for byte in b"".join(TOOLS)]
        await connection.write(STREAM_HEAD + b"".join(chunks) + TERMINATOR)

    async with serving(drip) as (_, client), client.chat.completions.stream(**ASK) as stream:
        completion = await stream.get_final_completion()
    calls = completion.choices[0].message.tool_calls
    assert calls is not None
    assert [call.function.name for call in calls] == ["weather", "time"]


async def test_the_request_asks_for_a_stream_and_no_compression() -> None:
    async def check(connection: Connection) -> None:
        request = await connection.request()
        assert request.json == {**ASK, "stream": True}
        assert request.headers["accept"] == "text/event-stream"
        assert request.headers["accept-encoding"] == "identity"
        assert request.headers["authorization"] == "Bearer sk-test"
        await connection.stream(ROLE, FINISH, DONE)

    async with serving(check) as (_, client):
        await client.chat.completions.stream(**ASK).until_done()
