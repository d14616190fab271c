import asyncio

from deepseek_async.compat import AsyncOpenAI

client = AsyncOpenAI(
    api_key="<your api key>",
    base_url="https://api.deepseek.com/beta",
)


async def main():
    response = await client.completions.create(
        model="deepseek-flash",
        prompt="def fibonacci(n):",
        suffix="    return fibonacci(n - 1) + fibonacci(n - 2)",
        max_tokens=128,
    )
    print(response.choices[0].text)


asyncio.run(main())
