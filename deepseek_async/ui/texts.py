"""What the built-in simulator answers on the page."""

SKY = """\
Because the universe is **young** and **expanding**. If it were endless, eternal and still, every \
line of sight would end on a star, and the night would be as bright as the day. That is \
*Olbers' paradox*.

## What resolves it

1. **A finite age.** Light has had 13.8 billion years to reach us. From most stars it is still on \
its way.
2. **Expansion.** Light from far away is stretched: the glow of the early universe fills the whole \
sky, but as microwaves at `2.7 K`, which no eye can see.

| Explanation | Does it help? | Why |
|---|---|---|
| Dust hides the stars | no | it would heat up and glow itself |
| Finite age | most of it | too few stars are within reach |
| Expansion | some | dims and reddens what does arrive |

> The night is dark because it had a beginning.

The first reason weighs more: there are simply too few stars close enough for their light to have \
arrived.
"""
SKY_REASONING = """\
The short answer, that the sun is on the other side, is not enough. In an endless, unchanging \
universe full of stars every line of sight would end on one, and the whole sky would be as bright \
as the sun: that is Olbers' paradox.

What breaks its assumptions? The universe has an age, and it expands. Dust doesn't help, since it \
would heat up and glow. I should name both reasons, say which one weighs more, and put the \
explanations that don't work beside them.
"""

CODE = '''\
A token bucket: `rate` tokens a second flow in, at most `burst` are kept, and whoever takes one \
that \
is not there yet waits for it.

```python
import asyncio


class TokenBucket:
    """Let `rate` calls a second through, and up to `burst` at once."""

    def __init__(self, rate: float, burst: int) -> None:
        self._seconds = 1 / rate
        self._slack = (burst - 1) / rate
        self._due = 0.0

    async def take(self) -> None:
        now = asyncio.get_running_loop().time()
        # The moment at which the next token is there; never further back than the burst.
        self._due = max(self._due, now - self._slack)
        wait, self._due = self._due - now, self._due + self._seconds
        if wait > 0:
            await asyncio.sleep(wait)
```

Three things to notice:

- There is **no background task** that fills the bucket: one number says when the next token is due.
- Callers are served *in order*, since each one moves `_due` before it sleeps.
- If a caller is cancelled while it sleeps, its token is lost. Where that matters, give it back \
in an \
`except asyncio.CancelledError` block.

```python
bucket = TokenBucket(rate=5, burst=2)
async with asyncio.TaskGroup() as group:
    for url in urls:
        group.create_task(fetch(url, bucket))
```
'''
CODE_REASONING = """\
They want a rate limiter in Python, most likely for asyncio. A bucket with a background task that \
refills it is the textbook form, but one timestamp does the same without a task: the moment at \
which \
the next token is due. Check the burst: with burst=1 the slack is zero, so calls are evenly \
spaced. \
I should mention cancellation, which is easy to get wrong.
"""

WEATHER_REASONING = (
    "Two cities, so two calls; they don't depend on each other and can run together.\n"
)
MEAN_REASONING = (
    "-3 and 19. The mean is simple, but there is a tool for it, so let it do the sum.\n"
)
WEATHER = """\
| City | Temperature | Sky | Wind |
|---|---:|---|---:|
| Reykjavík | -3 °C | snow showers | 41 km/h |
| Lisbon | 19 °C | clear | 12 km/h |

The mean of the two is **8 °C**, which is the weather of neither. Take a coat to Reykjavík; in \
Lisbon \
a pullover for the evening will do.
"""

CHINESE = """\
**缓存命中**是指请求的开头部分与服务器刚处理过的内容相同，因此不必重新计算。

### 为什么重要

- **更便宜**：命中的 token 按远低于普通输入的价格计费。
- **更快**：长提示词的首个 token 会早得多到达。

### 怎样提高命中率

1. 把**不变的内容**放在最前面：系统提示、规则、示例。
2. 把**变化的内容**放在最后：用户的问题、时间、编号。
3. 多轮对话时，原样保留之前的消息，只在末尾追加。

```text
[系统提示 ······ 相同 ······][历史消息 ··· 相同 ···][新问题]
└────────────── 命中 ──────────────┘└─ 未命中 ─┘
```

缓存以固定大小的块为单位，所以很短的提示词不会命中。
"""  # noqa: RUF001 - as Chinese is written
CHINESE_REASONING = """\
用户想了解缓存命中。先给定义，再说为什么重要，最后给出可操作的建议，并画一个简单的示意图。
"""  # noqa: RUF001 - as Chinese is written

QUEUE = """\
That took a while: the request waited **6 seconds** before anybody began to answer it.

When DeepSeek is busy, it accepts the request, keeps the connection open, and sends comments \
until it \
is your turn:

```text
: keep-alive
```

Most clients throw them away, and their users look at a spinner. Here they become an event, \
`queued`, \
and a badge on the page. The connection to your browser is just as alive in the meantime: close \
the \
tab, and the request is gone within milliseconds.
"""

BREAKS = """\
This answer will not reach its end. The server that sends it is about to drop the connection in \
the \
middle of a sentence, as servers do, and what you see then is what came, a plain word about what \
went \
wrong, and a button to try again. None of the text that had arrived is lost, and the words that \
never \
arrived are not made up, and
"""

ABOUT = (
    """\
I am the **built-in simulator**: a DeepSeek server on this machine with real HTTP, real pacing and \
prepared answers, so I can't say much about that. With a key you get the real thing on the same \
page:

```sh
export DEEPSEEK_API_KEY=sk-...
python -m deepseek_async ui
```

Meanwhile, try what the page can do *while this is being written*:

- **Reload**, or open this address in a second tab. Both follow the same answer.
- Press **Cut network**. The page comes back and goes on after the last character it has.
- Open the **wire** and switch its format: four protocols, one answer.
""",
    """\
As a simulator I only know what was prepared for me. But the way this answer gets to you is real:

1. An HTTP request asks for a stream, and is answered token by token.
2. One task reads it into a **log**. Each place in the log has an address.
3. Every tab is a *cursor* in that log. A slow tab gets larger pieces, and holds up nobody.

| If you ... | then the answer ... |
|---|---|
| reload | goes on where it was |
| close the last tab | is stopped after 10 seconds |
| press stop | is stopped at once, for all tabs |

Ask one of the prepared questions for reasoning, code, tools or a queue.
""",
)

_OPENING = """\
## The keeper's log

The lighthouse at Skarn stood where the road gave up. Ada Lund kept it for thirty-one years, and \
of \
each night she wrote one page: wind, visibility, ships, and whatever else there was to say.

"""
_NIGHTS = (
    "Wind from the west, force {force}. Two trawlers in the lee of the island and nothing "
    "else all night. The lamp burned evenly. I have moved the spare mantles to the upper "
    "shelf, where the damp does not reach them, and found the letter I had been looking for "
    "since spring.",
    "Fog since {hour}. The horn every ninety seconds, until one no longer hears it and starts "
    "to hear the pauses instead. Toward morning an answer, very far off, a little flat. We "
    "talked like that for an hour, each of us saying the only word we have.",
    "Clear, cold, stars down to the waterline. The schoolmaster says that from most of them "
    "the light is still on its way. I turned the lens toward the open sea and thought that "
    "this works in both directions: somewhere out there my own light from **{year}** is still "
    "travelling.",
    "Force {force} and rising. At {hour} the glass cracked on the weather side. I held it "
    "with both hands until the putty set, which the handbook does not mention among the "
    "duties of a keeper, and sang what I could remember so as not to count.",
    "Quiet. The supply boat brought paraffin, flour, `12` letters and a cat. The cat walked "
    "through every room, looked at the sea, and lay down on the log as if to say that enough "
    "had been written.",
)


def long_story() -> str:
    """Return a story of some 12,000 characters."""
    pages = [
        f"### Night {number + 1}\n\n"
        + _NIGHTS[number % len(_NIGHTS)].format(
            force=3 + number % 7, hour=f"{(number * 5) % 12 + 1} o'clock", year=1893 + number
        )
        + "\n\n"
        for number in range(40)
    ]
    return "".join([_OPENING, *pages, "Here the log ends. The lamp, we are told, still burns.\n"])


_SIGHTS = (
    "a tram that climbs so slowly that people step on and off as they like",
    "a market hall where the fish is sold before the bread is baked",
    "a reading room with green lamps and a clock that nobody winds",
    "a bridge that sings in the east wind",
    "a stair of ninety-nine steps, each one given by another family",
    "a harbour wall with a door in it, and steps down into the water",
    "a garden of stones in the yard of the old mint",
    "a ferry without a timetable that has never been late",
)
_HOURS = ("At dawn", "Before noon", "After the rain", "In the evening", "Past midnight")


def postcard(number: int) -> str:
    """Return one of many texts of some 600 tokens, each of them another one."""
    parts: list[str] = []
    for step in range(20):
        when = _HOURS[(number + step) % len(_HOURS)]
        sight = _SIGHTS[(number * 3 + step) % len(_SIGHTS)]
        house = (number * 37 + step * 11) % 400 + 1
        parts.append(f"{when} there is {sight}; ask for it at house number {house}. ")
    return f"Postcard {number + 1}. {''.join(parts)}Greetings from stream {number + 1}."
