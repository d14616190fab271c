import asyncio

from deepseek_async.compat import AsyncOpenAI

client = AsyncOpenAI(api_key="<your api key>", base_url="https://api.deepseek.com")


async def main():
    messages = [{"role": "user", "content": "Which river is the longest of Europe?"}]
    response = await client.chat.completions.create(
        model="deepseek-flash",
        messages=messages,
    )
    messages.append(response.choices[0].message)
    print(f"After the first round: {messages}")

    messages.append({"role": "user", "content": "And which comes second?"})
    response = await client.chat.completions.create(
        model="deepseek-flash",
        messages=messages,
    )
    messages.append(response.choices[0].message)
    print(f"After the second round: {messages}")


asyncio.run(main())
