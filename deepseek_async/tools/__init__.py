"""Tools: Python functions that the model calls.

```python
from deepseek_async.tools import tool

@tool
async def weather(city: str) -> str:
    "Tell the weather of a city."
    ...
```
"""

from deepseek_async.tools.context import ToolContext
from deepseek_async.tools.errors import MaxTurnsError, ToolError
from deepseek_async.tools.events import (
    ToolDoneEvent,
    ToolEvent,
    ToolRunnerEvent,
    ToolStartedEvent,
    TurnDoneEvent,
)
from deepseek_async.tools.function import Tool, tool
from deepseek_async.tools.runner import ToolRunner
from deepseek_async.tools.toolbox import ToolParam

__all__ = [
    "MaxTurnsError",
    "Tool",
    "ToolContext",
    "ToolDoneEvent",
    "ToolError",
    "ToolEvent",
    "ToolParam",
    "ToolRunner",
    "ToolRunnerEvent",
    "ToolStartedEvent",
    "TurnDoneEvent",
    "tool",
]
