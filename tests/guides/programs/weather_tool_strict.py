import asyncio
import json

from deepseek_async.compat import AsyncOpenAI

client = AsyncOpenAI(
    api_key="<your api key>",
    base_url="https://api.deepseek.com/beta",
)

tools = [
    {
        "type": "function",
        "function": {
            "name": "get_weather",
            "strict": True,
            "description": "Tells the weather at a place; ask for the place first.",
            "parameters": {
                "type": "object",
                "properties": {
                    "location": {"type": "string", "description": "A city, such as Ulm, Germany"},
                },
                "required": ["location"],
                "additionalProperties": False,
            },
        },
    },
]


async def send_messages(messages):
    response = await client.chat.completions.create(
        model="deepseek-flash", messages=messages, tools=tools
    )
    return response.choices[0].message


async def main():
    messages = [{"role": "user", "content": "What is the weather like in Ulm?"}]
    message = await send_messages(messages)
    print(f"User:  {messages[0]['content']}")

    tool = message.tool_calls[0]
    print(f"Call:  {tool.function.name} {json.loads(tool.function.arguments)}")
    messages.append(message)

    messages.append({"role": "tool", "tool_call_id": tool.id, "content": "24℃"})
    message = await send_messages(messages)
    print(f"Model: {message.content}")


asyncio.run(main())
