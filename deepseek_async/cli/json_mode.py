"""``chat --json``: the answer is JSON, or the command fails."""

import msgspec

from deepseek_async.cli.answer import Answer
from deepseek_async.cli.clean import one_line
from deepseek_async.cli.failures import AnswerProblem
from deepseek_async.cli.screen import Screen


def deliver_json(answer: Answer, screen: Screen) -> None:
    """Check the answer, and print it unless it has been shown while it came.

    Raises:
        AnswerProblem: If it isn't JSON; nothing has been printed then.
    """
    choices = answer.completion.choices
    text = (choices[0].message.content or "") if choices else ""
    try:
        msgspec.json.decode(text)
    except msgspec.DecodeError as exc:
        raise AnswerProblem(_problem(text, answer.shortened, exc)) from exc
    if not screen.live:
        screen.write(text if text.endswith("\n") else f"{text}\n")


def _problem(text: str, shortened: str | None, exc: msgspec.DecodeError) -> str:
    if shortened == "length":
        return (
            "the answer is not JSON, since it was cut off; let it be longer with --max-tokens or "
            "--auto-continue"
        )
    if not text.strip():
        return (
            "the answer is empty, as happens in JSON mode; ask again, or say what the JSON should "
            "look like"
        )
    return f"the answer is not JSON: {exc}; it begins with {one_line(text, 60)!r}"
