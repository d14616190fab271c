import asyncio
import json
import os

from deepseek_async.compat import AsyncOpenAI

tools = [
    {
        "type": "function",
        "function": {
            "name": "get_date",
            "description": "Tells today's date",
            "parameters": {"type": "object", "properties": {}},
        },
    },
    {
        "type": "function",
        "function": {
            "name": "get_weather",
            "description": "Tells the weather at a place on a day; ask for both first.",
            "parameters": {
                "type": "object",
                "properties": {
                    "location": {"type": "string", "description": "A city"},
                    "date": {"type": "string", "description": "A day, as YYYY-mm-dd"},
                },
                "required": ["location", "date"],
            },
        },
    },
]


def get_date():
    return "2026-11-21"


def get_weather(location, date):
    return f"Fog in {location} on {date}, 3~7℃"


functions = {"get_date": get_date, "get_weather": get_weather}

client = AsyncOpenAI(
    api_key=os.environ.get("DEEPSEEK_API_KEY"),
    base_url=os.environ.get("DEEPSEEK_BASE_URL"),
)


async def run_turn(turn, messages):
    sub_turn = 1
    while True:
        response = await client.chat.completions.create(
            model="deepseek-v4-pro",
            messages=messages,
            tools=tools,
            reasoning_effort="high",
            extra_body={"thinking": {"type": "enabled"}},
        )
        messages.append(response.choices[0].message)
        reasoning_content = response.choices[0].message.reasoning_content
        content = response.choices[0].message.content
        tool_calls = response.choices[0].message.tool_calls
        print(f"{turn}.{sub_turn} {reasoning_content=} {content=}")
        if tool_calls is None:
            break
        for tool in tool_calls:
            function = functions[tool.function.name]
            result = function(**json.loads(tool.function.arguments))
            print(f"{tool.function.name}: {result}")
            messages.append({"role": "tool", "tool_call_id": tool.id, "content": result})
        sub_turn += 1


async def main():
    messages = [{"role": "user", "content": "What will the weather be in Ulm tomorrow?"}]
    await run_turn(1, messages)

    messages.append({"role": "user", "content": "And in Bremen?"})
    await run_turn(2, messages)


asyncio.run(main())
