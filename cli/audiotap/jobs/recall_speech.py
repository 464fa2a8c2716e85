"""The work of `audiotap speak`, `pause` and `stop` with a Recall bot: over REST, with or without a listener."""

from __future__ import annotations

from collections.abc import Iterator

from audiotap.audio import Chunk
from audiotap.errors import NobodyError, UsageError
from audiotap.jobs.bots import unless_interrupted
from audiotap.jobs.output import emit, talk
from audiotap.jobs.running import run
from audiotap.jobs.speak import source
from audiotap.net.control.remote import Target, bots_heard
from audiotap.net.rest.base import Access
from audiotap.net.rest.recall import RecallRest, encoder
from audiotap.net.tasks import from_thread
from audiotap.text import human_size, printable


def speak(file: str, raw: int | None, target: Target, access: Access, *, json: bool) -> None:
    """Send a file, or standard input where it is `-`, to be played; nobody tells when that is over."""
    recall = RecallRest(access, talk)
    bot = run(_bot(target))
    mp3, seconds = run(unless_interrupted(_encoded(source(file, raw)), "nothing was sent"))
    if not seconds:
        raise UsageError(f"{file} holds no sound", "name a file that does")
    run(_speak(recall, bot, mp3))
    if json:
        emit({"bot": bot, "sent": round(seconds, 3), "bytes": len(mp3)})
    else:
        talk(f"sent {seconds:.1f} s to {printable(bot)} as an MP3 of {human_size(len(mp3))}; Recall plays it")


def stop(target: Target, access: Access, *, json: bool) -> None:
    """Have a bot play nothing any more."""
    recall = RecallRest(access, talk)
    bot = run(_bot(target))
    run(_hush(recall, bot))
    if json:
        emit({"bot": bot, "stopped": True})
    else:
        talk(f"stopped {printable(bot)}: what it was playing is gone, since Recall cannot go on with it")


async def _encoded(chunks: Iterator[Chunk]) -> tuple[bytes, float]:
    """Speech as an MP3, and its seconds. A thread reads it, since a pipe may be slow, and does nothing else."""
    with encoder() as mp3:
        async for chunk in from_thread(chunks):
            mp3.push(chunk)
        return mp3.finish()


async def _speak(recall: RecallRest, bot: str, mp3: bytes) -> None:
    async with recall:
        await unless_interrupted(recall.speak(bot, mp3), "the bot may play it all the same: audiotap stop")


async def _hush(recall: RecallRest, bot: str) -> None:
    async with recall:
        await unless_interrupted(recall.hush(bot), "the bot may have stopped all the same")


async def _bot(target: Target) -> str:
    """The bot that is meant: one that a listener hears, or whatever id was given."""
    heard = await bots_heard("recall", target.folder, target.port, target.bot)
    if target.bot in heard or (target.bot and not heard):
        return target.bot
    if len(heard) == 1:
        return heard[0]
    if heard:
        raise UsageError(f"several bots are connected: {', '.join(heard)}", "choose one with --bot ID")
    raise NobodyError("no listener here hears a Recall bot", "name the bot: --bot ID")
