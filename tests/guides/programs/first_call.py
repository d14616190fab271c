import asyncio
import os

from deepseek_async.compat import AsyncOpenAI

client = AsyncOpenAI(
    api_key=os.environ.get("DEEPSEEK_API_KEY"),
    base_url="https://api.deepseek.com",
)


async def main():
    response = await client.chat.completions.create(
        model="deepseek-v4-pro",
        messages=[
            {"role": "system", "content": "You answer in one sentence."},
            {"role": "user", "content": "Who are you?"},
        ],
        stream=False,
        reasoning_effort="high",
        extra_body={"thinking": {"type": "enabled"}},
    )
    print(response.choices[0].message.content)


asyncio.run(main())
