"""audiotap bot, audiotap url: send bots into meetings, over the providers' REST interfaces."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from audiotap.commands import completion, settings
from audiotap.commands.options import Program
from audiotap.commands.providers import Ordered, Provider

if TYPE_CHECKING:
    from audiotap.net.rest.base import Access

app = Program(help="Send bots into meetings, and take them out again.", no_args_is_help=True)

PublicUrl = Annotated[
    str,
    typer.Option(
        "--url",
        "--public-url",
        help="Where the bot dials us, such as wss://YOUR-TUNNEL-HOST/ (default: the running listener's URL).",
    ),
]
Port = Annotated[
    int | None,
    typer.Option(help="The listener's port; needed where there are several.", autocompletion=completion.ports),
]
Mixed = Annotated[bool, typer.Option("--mixed", help="Only the mix, unless --separate is given too.")]
Separate = Annotated[
    bool, typer.Option("--separate", help="Only a stream per participant, unless --mixed is given too.")
]
Rate = Annotated[
    int, typer.Option(help="Samples per second; Attendee 8000, 16000, and 24000 of the mix alone; Recall 16000.")
]
Threshold = Annotated[
    int | None,
    typer.Option(
        help="The threshold of a fork of Attendee, whose bot then pauses by itself; others refuse it.",
        min=0,
        max=32767,
        show_default=False,
    ),
]
Api = Annotated[
    str,
    typer.Option(
        help="The REST interface: your own Attendee's https://HOST, a region of Recall's such as us-west-2, or a URL "
        "(default: ATTENDEE_API_URL, RECALL_API_URL, or the provider's own)."
    ),
]
Timeout = Annotated[float, typer.Option(help="Seconds that the provider may take over REST.", min=0.1, max=3600)]
Json = Annotated[bool, typer.Option("--json", help="The result as JSON on stdout.")]


@app.callback()
def root() -> None:
    """Send bots into meetings, and take them out again."""


@app.command("create")
def create(
    meeting_url: Annotated[str, typer.Argument(help="The meeting's link.")],
    provider: Annotated[Provider, typer.Option(help="Whose bot to send.")],
    url: PublicUrl = "",
    port: Port = None,
    name: Annotated[str, typer.Option(help="What the bot is called in the meeting.")] = "audiotap",
    mixed: Mixed = False,
    separate: Separate = False,
    rate: Rate = 16000,
    threshold: Threshold = None,
    api: Api = "",
    timeout: Timeout = 30.0,
    json: Json = False,
) -> None:
    """Send a bot into a meeting that dials the running listener, and print its id.

    The key is taken from ATTENDEE_API_KEY or RECALL_API_KEY. It returns when the provider has taken the order; the bot
    dials when it hears or records something, which may be minutes later. A Recall bot is made ready for speak.

    Exit status: 0 it is on its way, 1 the provider has trouble, 2 something is to be corrected here, 4 nobody answers,
    5 the provider refuses (key, credit, request).

    Examples:

      audiotap bot create https://meet.google.com/abc-defg-hij --provider attendee

      audiotap bot create MEETING --provider recall --api us-west-2 --separate
    """
    from audiotap.jobs import bots
    from audiotap.net.rest.base import Streams

    streams = Streams(url, mixed or not separate, separate or not mixed, rate, threshold)
    access = rest_access(provider, api, timeout)
    bots.create(provider.value, access, meeting_url, name, streams, (settings.control_folder(), port), json=json)


@app.command("leave")
def leave(
    id: Annotated[str, typer.Argument(help="The bot's id, as create printed it.", autocompletion=completion.sent_bots)],
    provider: Annotated[
        Provider | None, typer.Option(help="Whose bot it is (default: what its id looks like).", show_default=False)
    ] = None,
    api: Api = "",
    timeout: Timeout = 30.0,
    json: Json = False,
) -> None:
    """Have a bot leave its meeting.

    Example:

      audiotap bot leave bot_weIAju4OXNZkDTpZ
    """
    from audiotap.jobs import bots

    whose = Provider(bots.provider_of(id)) if provider is None else provider
    bots.leave(whose.value, rest_access(whose, api, timeout), id, json=json)


def url(
    provider: Annotated[
        Ordered | None,
        typer.Option(
            "--for",
            help="Print the JSON that makes this provider's bot dial us, or Twilio's TwiML.",
            show_default=False,
        ),
    ] = None,
    url: PublicUrl = "",
    port: Port = None,
    mixed: Mixed = False,
    separate: Separate = False,
    rate: Rate = 16000,
    threshold: Threshold = None,
) -> None:
    """Print where bots dial the running listener, or what to paste into an order for a bot or a call.

    Examples:

      audiotap url

      audiotap url --for attendee

      audiotap url --for twilio
    """
    from audiotap.jobs import bots
    from audiotap.net.rest.base import Streams

    streams = Streams(url, mixed or not separate, separate or not mixed, rate, threshold)
    api = settings.api_url(Provider.ATTENDEE)
    bots.show_url(provider.value if provider else "", api, streams, settings.control_folder(), port)


def rest_access(provider: Provider, api: str, timeout: float) -> Access:
    """How a provider is asked, with the key of the environment."""
    from audiotap.net.rest.base import Access

    return Access(api or settings.api_url(provider), settings.api_key(provider), timeout)
