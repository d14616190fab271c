import asyncio

from deepseek_async.compat import AsyncOpenAI

client = AsyncOpenAI(api_key="<your api key>", base_url="https://api.deepseek.com")


async def ask(messages):
    response = await client.chat.completions.create(
        model="deepseek-v4-pro",
        messages=messages,
        stream=True,
        reasoning_effort="high",
        extra_body={"thinking": {"type": "enabled"}},
    )
    reasoning_content = ""
    content = ""
    async for chunk in response:
        if chunk.choices[0].delta.reasoning_content:
            reasoning_content += chunk.choices[0].delta.reasoning_content
        elif chunk.choices[0].delta.content:
            content += chunk.choices[0].delta.content
    print(f"{reasoning_content=}\n{content=}")
    return reasoning_content, content


async def main():
    messages = [{"role": "user", "content": "Is 9.9 or 9.11 the larger number?"}]
    reasoning_content, content = await ask(messages)

    messages.append(
        {"role": "assistant", "reasoning_content": reasoning_content, "content": content}
    )
    messages.append({"role": "user", "content": "How many times is the letter e in 'nineteen'?"})
    await ask(messages)


asyncio.run(main())
