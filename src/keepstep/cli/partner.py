"""`keepstep partner`: what the vendor tells the operator as its technology partner."""

import sys
from typing import TYPE_CHECKING, Annotated, Literal, TypeVar

import typer

from keepstep.cli.console import AsJson, say, show
from keepstep.cli.service import served

if TYPE_CHECKING:
    pass

T = TypeVar("T")
app = typer.Typer(
    help="Technology partners: connect, topics, subscribe, test, unsubscribe, events.", no_args_is_help=True
)
PLATFORM = "constant_contact"
# What is asked for, in this order; each with its words.
ASKED = {
    "api_key": "API key of the partner's application",
    "client_id": "client id of the partner (v3; nothing to leave it as it is)",
    "client_secret": "client secret of the partner (v3)",
    "api_secret": "secret of the API key, which signs deliveries (v2)",
    "user": "user name of the partner (v2)",
    "password": "password of the partner (v2)",
}
SHOWN = ("api_key", "client_id", "user")
_MOST_LINE = 10_000

Topic = Annotated[str, typer.Argument(metavar="TOPIC", help="The topic's id, as `keepstep partner topics` shows it.")]
Edition = Annotated[
    Literal["v2", "v3"] | None,
    typer.Option("--api", help="The vendor's interface; the newest whose credentials are stored.", show_default=False),
]


@app.command()
def connect(as_json: AsJson = False) -> None:
    """Store the partner's credentials; an empty answer leaves one as it is.

    They are asked for without being shown, or read from standard input, one answer a line.
    """
    from keepstep.state.vault import Secret
    from keepstep.wiring import partner

    answers = {name: _answer(name, words) for name, words in ASKED.items()}
    given = {name: Secret(text) for name, text in answers.items() if text}
    done = served(lambda service: partner.connect(service, PLATFORM, given))
    show({**done, "hook": "arrives here" if done["hook"] else "no public_url is set"}, as_json)
    say("next: keepstep partner topics", as_json)


@app.command()
def topics(edition: Edition = None, as_json: AsJson = False) -> None:
    """What the vendor tells partners, and where it is told now."""
    from keepstep.wiring import partner

    show(served(lambda service: partner.topics(service, PLATFORM, edition)), as_json)


@app.command()
def subscribe(topic: Topic, edition: Edition = None, as_json: AsJson = False) -> None:
    """Have a topic posted to our door."""
    from keepstep.wiring import partner

    show(served(lambda service: partner.subscribe(service, PLATFORM, topic, edition)), as_json)
    say(f"next: keepstep partner test {topic}", as_json)


@app.command()
def unsubscribe(topic: Topic, edition: Edition = None, as_json: AsJson = False) -> None:
    """Have a topic posted no more."""
    from keepstep.wiring import partner

    show(served(lambda service: partner.unsubscribe(service, PLATFORM, topic, edition)), as_json)


@app.command()
def test(topic: Topic, edition: Edition = None, as_json: AsJson = False) -> None:
    """Ask the vendor to send an example of a topic."""
    from keepstep.wiring import partner

    show(served(lambda service: partner.test(service, PLATFORM, topic, edition)), as_json)
    say("next: keepstep partner events shows whether it came", as_json)


@app.command()
def events(
    limit: Annotated[int, typer.Option(min=1, max=1000, help="At most so many.")] = 50, as_json: AsJson = False
) -> None:
    """What came, newest first, and what was done about it."""
    from keepstep.wiring import heard

    show(served(lambda service: heard.events(service, PLATFORM, limit)), as_json)


def _answer(name: str, words: str) -> str:
    """From the terminal, hidden unless it is no secret, or the next line of standard input."""
    if sys.stdin.isatty():
        hidden = name not in SHOWN
        return str(typer.prompt(words, hide_input=hidden, default="", show_default=False)).strip()
    return sys.stdin.readline(_MOST_LINE).strip()
