import asyncio

from deepseek_async.compat import AsyncOpenAI

client = AsyncOpenAI(
    api_key="<your api key>",
    base_url="https://api.deepseek.com/beta",
)


async def main():
    messages = [
        {"role": "user", "content": "Write a function that sorts a list by merging."},
        {"role": "assistant", "content": "```python\n", "prefix": True},
    ]
    response = await client.chat.completions.create(
        model="deepseek-flash",
        messages=messages,
        stop=["```"],
    )
    print(response.choices[0].message.content)


asyncio.run(main())
