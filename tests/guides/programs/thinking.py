import asyncio

from deepseek_async.compat import AsyncOpenAI

client = AsyncOpenAI(api_key="<your api key>", base_url="https://api.deepseek.com")


async def ask(messages):
    return await client.chat.completions.create(
        model="deepseek-v4-pro",
        messages=messages,
        reasoning_effort="high",
        extra_body={"thinking": {"type": "enabled"}},
    )


async def main():
    messages = [{"role": "user", "content": "Is 9.9 or 9.11 the larger number?"}]
    response = await ask(messages)

    reasoning_content = response.choices[0].message.reasoning_content
    content = response.choices[0].message.content
    print(f"{reasoning_content=}\n{content=}")

    messages.append(response.choices[0].message)
    messages.append({"role": "user", "content": "How many times is the letter e in 'nineteen'?"})
    response = await ask(messages)

    reasoning_content = response.choices[0].message.reasoning_content
    content = response.choices[0].message.content
    print(f"{reasoning_content=}\n{content=}")


asyncio.run(main())
