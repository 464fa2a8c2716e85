"""Simulated bots: they dial any server, send what real bots send when real bots send it, and write down what they hear.

Each behaviour's source is in docs/dialects/. The audio of a call is a function of media time, so that two runs send the
same samples; what depends on the network (dropped messages) is written down as it happens.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

import msgspec

from audiotap.audio import SAMPLE_BYTES, Chunk, mix
from audiotap.dialects import REGISTER
from audiotap.dialects.attendee import Attendee
from audiotap.dialects.base import Dialect, Side, Wire
from audiotap.dialects.recall import Recall, participant, timestamp
from audiotap.errors import NobodyError, WireError
from audiotap.events import MIXED, Event, Heard, Mark, Occurred, Pause, Speak, Stop
from audiotap.naming import safe_name
from audiotap.net.sim.line import Line, Retry
from audiotap.net.sim.manners import MANNERS, Opening
from audiotap.net.sim.playback import Loudspeaker, Playback, Played
from audiotap.net.tasks import wait_for
from audiotap.text import without_path
from audiotap.writing import WavWriter

CONTROL = "control"
"""The connection for commands, where there is one apart."""
SPARSE = {"meet"}
"""Platforms on which a participant's all-zero chunks are left out."""


class Voice(msgspec.Struct, frozen=True):
    """A participant: S16LE at the script's rate from second 0 on, silence after it, nothing while muted."""

    id: str
    name: str
    pcm: bytes
    muted: tuple[tuple[float, float], ...] = ()

    def speaks_at(self, at: float) -> bool:
        return not any(begin <= at < end for begin, end in self.muted)


class Script(msgspec.Struct, frozen=True):
    """A call. Times are seconds of media time; `speed` lets it pass faster than the clock.

    `mixed` and `separate` tell which streams are subscribed. `each` gives every participant a connection of its own
    that closes on mute. `drops` are losses of all connections: (when, for how long nobody answers). `seconds` None
    means until the longest voice ends, or with `loop` for ever.
    """

    provider: str
    url: str
    id: str
    voices: tuple[Voice, ...]
    rate: int = 16000
    chunk: float | None = None
    mixed: bool = True
    separate: bool = True
    each: bool = False
    drops: tuple[tuple[float, float], ...] = ()
    speed: float = 1.0
    seconds: float | None = None
    loop: bool = False
    platform: str = "meet"
    names: bool = False
    sequence: bool = False
    retry: Retry | None = None
    record: Path | None = None


class SentTrack(msgspec.Struct):
    """What was really sent of a track; `first` is the media sample of its first chunk."""

    track: str
    first: int | None = None
    samples: int = 0
    messages: int = 0
    dropped: int = 0
    file: str | None = None


class Outcome(msgspec.Struct):
    """What became of a call; `played` are the stretches (from, to) in which the meeting heard the bot, in seconds."""

    provider: str
    session: str
    url: str
    seconds: float = 0.0
    connections: int = 0
    failed_tries: int = 0
    gave_up: bool = False
    sent: list[SentTrack] = []
    received: dict[str, int] = {}
    malformed: int = 0
    pauses: list[tuple[float, float]] = []
    played: list[tuple[float, float]] = []
    played_seconds: float = 0.0
    played_file: str | None = None
    residue_lost: float = 0.0
    unplayable: int = 0


class SimulatedBot:
    """A bot that plays a script to a server. `tell` is told in words what a user would want to know meanwhile."""

    def __init__(self, script: Script, tell: Callable[[str], None] = lambda _: None) -> None:
        self.outcome = Outcome(script.provider, script.id, script.url)
        self._script = script
        self._tell = tell
        self._manners = MANNERS[script.provider]
        self._retry = script.retry or self._manners.retry
        self._samples = round((script.chunk or self._manners.chunk) * script.rate)
        self._began = round(datetime.now(UTC).timestamp() * 1000) / 1000
        self._mixed, self._separate = self._manners.streams(mixed=script.mixed, separate=script.separate)
        self._lines: dict[str, Line] = {}
        self._dialects: dict[str, Dialect] = {}
        self._opened: dict[str, int] = {}
        self._every_line: list[Line] = []
        self._tracks: dict[str, SentTrack] = {}
        self._files: dict[str, WavWriter] = {}
        self._sequences: dict[str, int] = {}
        self._open: set[str] = set()
        attendee = script.provider == Attendee.name
        self._playback = Playback(script.platform) if attendee else Loudspeaker(self._manners.rates)
        self._arrived = asyncio.Event()
        self._clock = 0.0

    async def run(self, until: asyncio.Event | None = None) -> Outcome:
        """Play the script, or until the event is set. NobodyError when no server ever answered."""
        playing = asyncio.create_task(self._play_out(), name="playback")
        try:
            await self._call(until or asyncio.Event())
        finally:
            await asyncio.gather(*(line.close() for line in self._lines.values()))
            playing.cancel()
            await asyncio.gather(playing, return_exceptions=True)
            self._finish()
        if not self.outcome.connections:
            raise NobodyError(f"nobody answered at {without_path(self._script.url)}", "is the server running there?")
        return self.outcome

    # What the bot sends

    async def _call(self, until: asyncio.Event) -> None:
        loop = asyncio.get_running_loop()
        self._clock = loop.time()
        total = self._total()
        drops = sorted(self._script.drops)
        await self._greet()
        began = loop.time()
        number = 0
        while (total is None or number * self._samples < total) and not until.is_set() and not self._gave_up:
            at = number * self._samples / self._script.rate
            await _sleep_until(began + at / self._script.speed)
            while drops and at >= drops[0][0]:
                away = drops.pop(0)[1]
                for line in self._lines.values():
                    line.drop(away)
            await self._tick(number, at)
            number += 1
        self.outcome.seconds = number * self._samples / self._script.rate
        for voice in self._script.voices:
            await self._occur("participant_events.leave", voice, self.outcome.seconds)
        for key in list(self._lines):
            for said in self._manners.ends(self._script.id):
                await self._put(key, said)

    def _total(self) -> int | None:
        """Samples of the whole call; None is for ever."""
        if self._script.seconds is not None:
            return round(self._script.seconds * self._script.rate)
        if self._script.loop:
            return None
        return max((len(voice.pcm) // SAMPLE_BYTES for voice in self._script.voices), default=0)

    async def _tick(self, number: int, at: float) -> None:
        """Send one chunk of every stream."""
        if self._manners.control:
            await self._open_line(CONTROL, at)
        start = number * self._samples
        heard: dict[str, bytes] = {}
        for voice in self._script.voices:
            speaks = voice.speaks_at(at)
            if speaks:
                heard[voice.id] = self._slice(voice, start)
            await self._mute(voice, speaks=speaks)
        silence = bytes(self._samples * SAMPLE_BYTES)
        if self._mixed:
            await self._send(MIXED, None, mix(list(heard.values())) if heard else silence, start, at)
        if not self._separate:
            return
        sparse = self._script.provider == Attendee.name and self._script.platform in SPARSE
        for voice in self._script.voices:
            pcm = heard.get(voice.id)
            if pcm is not None and not (sparse and pcm == silence):
                await self._send(voice.id, voice.name, pcm, start, at)

    def _slice(self, voice: Voice, start: int) -> bytes:
        size = self._samples * SAMPLE_BYTES
        begin = start * SAMPLE_BYTES
        if self._script.loop and voice.pcm:
            begin %= len(voice.pcm)
        pcm = voice.pcm[begin : begin + size]
        return pcm + bytes(size - len(pcm))

    async def _send(self, track: str, name: str | None, pcm: bytes, start: int, at: float) -> None:
        pcm = self._manners.conveys(pcm)
        told = name if self._script.names or self._manners.named else None
        base = self._began if self._manners.dated else 0.0
        sequence = None
        if self._script.sequence:
            sequence = self._sequences[track] = self._sequences.get(track, 0) + 1
        chunk = Chunk(pcm, self._script.rate)
        event = Heard(self._script.id, track, chunk, base + at, told, self._bot, sequence)
        self._count(track, pcm, start, sent=await self._say(track, event, at))

    @property
    def _bot(self) -> str | None:
        """The other id of a session, where a vendor has two."""
        return f"bot-{self._script.id}" if self._script.provider == Recall.name else None

    async def _say(self, track: str, event: Event, at: float) -> bool:
        """Say something over a track's connection, after what every connection begins with; whether it was sent."""
        key = self._key(track)
        await self._open_line(key, at)
        return await self._put(key, event)

    async def _open_line(self, key: str, at: float) -> None:
        """Say what every connection begins with, where that was not said."""
        line = self._line(key)
        if self._opened[key] != line.connections:
            self._dialects[key] = self._dialect()
            self._opened[key] = line.connections
            opening = Opening(self._script.id, self._script.rate, at, self._mixed)
            for said in self._manners.opens(opening):
                await self._put(key, said)

    async def _put(self, key: str, event: Event) -> bool:
        sent = True
        for wire in self._dialects[key].encode(event):
            sent = await self._lines[key].send(wire) and sent
        return sent

    def _dialect(self) -> Dialect:
        """A connection's own."""
        dialect = REGISTER[self._script.provider](Side.THEIRS)
        if isinstance(dialect, Recall):
            dialect.began = self._began
        return dialect

    def _count(self, track: str, pcm: bytes, start: int, *, sent: bool) -> None:
        counts = self._tracks.setdefault(track, SentTrack(track))
        if not sent:
            counts.dropped += 1
            return
        counts.first = start if counts.first is None else counts.first
        counts.messages += 1
        counts.samples = start + self._samples
        file = self._file(track, f"sent_{safe_name(track)}", self._script.rate)
        if file is not None:
            file.write(start, pcm)

    def _key(self, track: str) -> str:
        """Which connection a track has: one for all, or each its own."""
        return track if self._each and track != MIXED else ""

    @property
    def _each(self) -> bool:
        return self._script.each or (self._manners.each and self._separate)

    def _line(self, key: str) -> Line:
        line = self._lines.get(key)
        if line is None:
            url, headers = self._address(key), self._manners.headers
            line = self._lines[key] = Line(url, self._retry, partial(self._receive, key), self._tell, headers)
            self._every_line.append(line)
            self._dialects[key] = self._dialect()
            self._opened[key] = 0
        return line

    def _address(self, key: str) -> str:
        """Where a connection dials, which may tell whose track it brings."""
        name = next((voice.name for voice in self._script.voices if voice.id == key), "")
        query = self._manners.asks(self._script.id, key, name)
        return f"{self._script.url}{'&' if '?' in self._script.url else '?'}{query}" if query else self._script.url

    @property
    def _gave_up(self) -> bool:
        return any(line.gave_up for line in self._every_line)

    # The ways of eager bots: they dial when recording begins, and may connect participants one by one

    async def _greet(self) -> None:
        if not self._manners.eager:
            return
        if self._mixed or not self._each:
            await self._line(self._key(MIXED)).settle()
        if self._manners.control:
            await self._line(CONTROL).settle()
            await self._open_line(CONTROL, 0.0)
        for voice in self._script.voices:
            await self._occur("participant_events.join", voice, 0.0)

    async def _mute(self, voice: Voice, *, speaks: bool) -> None:
        """Where participants have connections of their own, muting closes it and unmuting dials."""
        if speaks == (voice.id in self._open):
            return
        (self._open.add if speaks else self._open.discard)(voice.id)
        if not (self._manners.eager and self._separate and self._each):
            return
        if self._manners.mutes is not None and voice.id in self._lines:
            await self._put(voice.id, self._manners.mutes(self._script.id, not speaks))
        elif speaks:
            await self._line(self._key(voice.id)).settle()
        elif voice.id in self._lines:
            await self._lines.pop(voice.id).close()

    async def _occur(self, kind: str, voice: Voice, at: float) -> None:
        if self._script.provider != Recall.name:
            return
        data = {
            "participant": participant(voice.id, voice.name),
            "timestamp": timestamp(self._began, at),
            "data": None,
        }
        await self._say(MIXED, Occurred(self._script.id, kind, data, at, self._bot), at)

    # What the bot is told

    def _receive(self, key: str, wire: Wire) -> None:
        try:
            events = self._dialects[key].decode(wire)
        except WireError:
            self.outcome.malformed += 1
            return
        for event in events:
            self._obey(event)

    def _obey(self, event: Event) -> None:
        now = asyncio.get_running_loop().time()
        kind = type(event).__name__.lower()
        self.outcome.received[kind] = self.outcome.received.get(kind, 0) + 1
        match event:
            case Speak(chunk):
                self._playback.add(chunk, now)
            case Stop():
                self._playback.clear(now)
            case Mark(name):
                self._playback.mark(name)
            case Pause(seconds):
                self.outcome.pauses.append((round(now - self._clock, 3), seconds))
                self._playback.pause(event, now)
        self._arrived.set()

    async def _play_out(self) -> None:
        """Hand pieces to the meeting as the bot's own thread does."""
        loop = asyncio.get_running_loop()
        while True:
            played, ask_at = self._playback.poll(loop.time())
            if played is not None and played.mark is not None:
                await self._answer(played.mark)
                continue
            if played is not None:
                self._hear(played)
                continue
            self._arrived.clear()
            await wait_for(self._arrived, None if ask_at is None else max(0.0, ask_at - loop.time()))

    async def _answer(self, mark: str) -> None:
        """Tell over every connection that all up to a mark was heard."""
        for key in list(self._lines):
            await self._put(key, self._manners.marked(self._script.id, mark))

    def _hear(self, played: Played) -> None:
        at = played.at - self._clock
        end = at + played.chunk.seconds
        self.outcome.played_seconds += played.chunk.seconds
        runs = self.outcome.played
        if runs and at - runs[-1][1] < 0.001:
            runs[-1] = (runs[-1][0], end)
        else:
            runs.append((at, end))
        file = self._file("", "played", played.chunk.rate)
        if file is not None:
            file.write(max(file.samples, round(at * played.chunk.rate)), played.chunk.pcm)

    def _file(self, key: str, name: str, rate: int) -> WavWriter | None:
        """The file of a track, made in the record folder at its first samples; None where nothing is to be kept."""
        file = self._files.get(key)
        if file is None and self._script.record is not None:
            self._script.record.mkdir(parents=True, exist_ok=True)
            path = self._script.record / f"{name}.wav"
            path.unlink(missing_ok=True)
            file = self._files[key] = WavWriter(path, rate)
        return file

    def _finish(self) -> None:
        """Sum up: the outcome is complete after this."""
        self.outcome.connections = sum(line.connections for line in self._every_line)
        self.outcome.failed_tries = sum(line.failed_tries for line in self._every_line)
        self.outcome.gave_up = self._gave_up
        self._playback.finish()
        self.outcome.residue_lost = round(self._playback.lost, 6)
        self.outcome.unplayable = self._playback.unplayable
        self.outcome.played = [(round(a, 3), round(b, 3)) for a, b in self.outcome.played]
        self.outcome.played_seconds = round(self.outcome.played_seconds, 6)
        for key, file in self._files.items():
            file.close()
            if key:
                self._tracks[key].file = str(file.path)
            else:
                self.outcome.played_file = str(file.path)
        self.outcome.sent = list(self._tracks.values())


async def _sleep_until(due: float) -> None:
    delay = due - asyncio.get_running_loop().time()
    await asyncio.sleep(max(0.0, delay))
