import asyncio
import json

from deepseek_async.compat import AsyncOpenAI

client = AsyncOpenAI(
    api_key="<your api key>",
    base_url="https://api.deepseek.com",
)

system_prompt = """
You are given a line of a quiz. Take question and answer out of it, and write them as JSON.

A line: What is the capital of Peru? It is Lima.

Its JSON:
{
    "question": "What is the capital of Peru?",
    "answer": "Lima"
}
"""


async def main():
    messages = [
        {"role": "system", "content": system_prompt},
        {"role": "user", "content": "Who wrote Faust? Goethe did."},
    ]
    response = await client.chat.completions.create(
        model="deepseek-flash",
        messages=messages,
        response_format={"type": "json_object"},
    )
    found = json.loads(response.choices[0].message.content)
    print(found["question"], found["answer"])


asyncio.run(main())
