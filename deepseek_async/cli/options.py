"""Options that several commands have, as typer sees them."""

from typing import Annotated

import typer

BaseUrl = Annotated[
    str | None,
    typer.Option("--base-url", metavar="URL", help="Another host, such as http://localhost:8000."),
]
Simulate = Annotated[
    bool, typer.Option("--simulate", help="Use the built-in simulator: no key, no cost.")
]
Model = Annotated[str, typer.Option("--model", "-m", help="The model to ask.")]
AsJson = Annotated[bool, typer.Option("--json", help="JSON as the server sends it, for scripts.")]
MaxTokens = Annotated[
    int | None,
    typer.Option("--max-tokens", min=1, help="Most tokens to generate, reasoning included."),
]
Temperature = Annotated[
    float | None, typer.Option("--temperature", help="0 to 2; without effect while thinking.")
]
Stop = Annotated[
    list[str] | None,
    typer.Option("--stop", metavar="TEXT", help="Ends the answer; may be given several times."),
]
