"""A small web app in front of DeepSeek: one answer at once, one as it is written."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from fastapi import FastAPI, HTTPException, Request
from fastapi.responses import StreamingResponse

from deepseek_async import AsyncDeepSeek, DeepSeekError, RateLimitError


@asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncIterator[None]:
    """One client for the whole process; its key and URL come from the environment."""
    async with AsyncDeepSeek() as client:
        app.state.client = client
        yield


app = FastAPI(lifespan=lifespan)


def messages(question: str) -> list[dict[str, str]]:
    """The conversation that a question begins."""
    return [
        {"role": "system", "content": "Answer in one sentence."},
        {"role": "user", "content": question},
    ]


@app.get("/answer")
async def answer(request: Request, question: str) -> dict[str, str | None]:
    """Answer a question."""
    client: AsyncDeepSeek = request.app.state.client
    try:
        completion = await client.chat.completions.create(
            model="deepseek-flash", messages=messages(question)
        )
    except RateLimitError as exc:
        raise HTTPException(503, "too many questions at the moment") from exc
    return {"answer": completion.choices[0].message.content}


@app.get("/stream")
async def stream(request: Request, question: str) -> StreamingResponse:
    """Answer a question while it is being thought about."""
    client: AsyncDeepSeek = request.app.state.client

    async def text() -> AsyncIterator[str]:
        try:
            async with client.chat.completions.stream(
                model="deepseek-flash", messages=messages(question)
            ) as events:
                async for piece in events.text_stream:
                    yield piece
        except DeepSeekError:
            yield " [the answer broke off]"

    return StreamingResponse(text(), media_type="text/plain")
