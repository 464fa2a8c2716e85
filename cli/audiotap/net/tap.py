"""The tap: takes bots' connections, keeps their sessions, and hands placed chunks to the sinks' lanes."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from functools import partial
from typing import Any, Protocol

from websockets.http11 import Request

from audiotap.audio import Chunk, rms
from audiotap.capture import Ended, Left, Moment, Named, Noted, Opened, Spoke, Took, told_asked, told_headers, told_path
from audiotap.dialects import REGISTER, recognise
from audiotap.dialects.base import Dialect, participant_track
from audiotap.errors import UsageError, WireError
from audiotap.events import (
    MIXED,
    Event,
    Heard,
    Mark,
    Occurred,
    Pause,
    Speak,
    Status,
    Stop,
    Unknown,
)
from audiotap.net.choice import choose
from audiotap.net.clock import Clock
from audiotap.net.complaints import Complaints
from audiotap.net.door.limits import Limits
from audiotap.net.door.tally import Tally, complaint
from audiotap.net.handover import Handed, Handover
from audiotap.net.lanes import Lane
from audiotap.net.live import ElsewhereError, Link, Live, Speaker
from audiotap.net.mouth import Mouth
from audiotap.net.oddities import Oddities
from audiotap.net.port import Peer
from audiotap.pacing import Block, spread_leads
from audiotap.reports import Odd, Report
from audiotap.session import Logged, Placed, Session, SessionKey, Summary, TimeLine
from audiotap.track import PATIENCE

HOLD_SECONDS = 0.8
"""How long a loud meeting holds our speech (Attendee's documented automatic pause)."""
TELL_SECONDS = 5.0
"""How often the sinks are told how each session stands."""
TELL_STEPS = 50
QUIET_SECONDS = 10.0
"""Without any audio from a bot that is connected, which is worth a warning."""
SLACK = 0.001
"""Seconds by which an event loop rounds when something is due."""
DEFAULT_SPEAKING_RATE = 16000
DRAINED = "its connection ended while the listener drained"
TOO_MANY_SESSIONS = "a session is not recorded: there are as many as --max-sessions allows"
TOO_MANY_OF_ONE = "a session is not recorded: its connection has as many as --max-per-connection allows"
NO_FILE_LEFT = (
    "a session or a track is not recorded: its connection has its share of the files that may be open (ulimit -n)"
)
SESSION_FILES = 4
"""Of a session: its folder, its manifest while it is written, its event log, and what is spoken."""
SHARE = 3
"""A connection has at most this part of the open files that are left for others, so that it cannot take the last."""

Tell = Callable[[Report], None]


class Guest(Protocol):
    """Somebody who takes part in sessions: hears them at once, and may speak through their mouths."""

    def heard(self, live: Live, run: Sequence[Heard]) -> None:
        """Chunks of one track of a session came."""

    def left(self, live: Live) -> None:
        """A session is over."""


class Tap:
    """Sessions, lanes and mouths of one listener.

    `linger` overrides how long sessions outlive their last connection; `threshold` is the RMS (0 to 32767) of the mix
    above which our speech holds. With a `handover`, sessions that are other workers' are left to them. `news` is set
    when a bot connects or a track begins; `refused` counts who was not let in. All methods belong to the event loop's
    thread.

    A session is made of what `witness` is told and of nothing else: what falls due on the `clock` counts as of that
    time, however late the loop comes to it, so the same moments make the same recording.

    `elsewhere` knows the line of a session that another node had before. `attend` is told when a bot has connected to
    its session, or has no connection any more; `count` is told of what was not taken. `closing` is set when sessions
    end because this listener does.
    """

    def __init__(
        self,
        tell: Tell,
        linger: float | None = None,
        threshold: float | None = None,
        handover: Handover | None = None,
        limits: Limits | None = None,
        clock: Clock | None = None,
    ) -> None:
        self.url = self.address = self.identity = ""
        self.refused: dict[str, int] = {}
        self.limits = limits or Limits()
        self._refusals = Tally(tell, complaint)
        self.count: Callable[[str], None] = self._refusals.count
        self._complaints = Complaints(tell)
        self.lossy = False
        self.recorded = False
        self.news = asyncio.Event()
        self.guest: Guest | None = None
        self.witness: Callable[[Moment], None] | None = None
        self.wall: Callable[[], datetime] = partial(datetime.now, UTC)
        self.elsewhere: Callable[[SessionKey], TimeLine | None] = _nowhere
        self.attend: Callable[[Live], None] = lambda _: None
        self.closing = False
        self.sessions: dict[SessionKey, Live] = {}
        self._tell = tell
        self._linger = linger
        self._threshold = threshold
        self._handover = handover
        self._lanes: Sequence[Lane] = ()
        self._clock: Clock = clock or asyncio.get_running_loop()
        self._ending: set[asyncio.Task[None]] = set()
        self._connections = self._files = 0
        self._leads = spread_leads()
        self._teller: asyncio.Task[None] | None = None
        self._draining = False
        self._empty = asyncio.Event()

    def start(self, lanes: Sequence[Lane], *, telling: bool = True) -> None:
        """Begin; the sinks behind `lanes` are told of everything from here on.

        With `telling`, also again and again how each session stands.
        """
        self._lanes = lanes
        if telling:
            self._teller = asyncio.create_task(self._keep_telling(), name="teller")

    def admit(self, lane: Lane) -> None:
        """One more sink, from now on; it is told how every session stands."""
        self._lanes = (*self._lanes, lane)
        for live in self.sessions.values():
            lane.put(live.summary())

    def dismiss(self, lane: Lane) -> None:
        """A sink that was admitted wants no more."""
        self._lanes = tuple(one for one in self._lanes if one is not lane)

    async def drain(self) -> None:
        """Return when the last session is over. Whose bot has no connection ends at once: it cannot come back here."""
        self.closing = self._draining = True
        for live in [live for live in self.sessions.values() if not live.links]:
            self._end(live, DRAINED, self._clock.time())
        try:
            while self.sessions:
                self._empty.clear()
                await self._empty.wait()
        finally:
            self._draining = False

    async def close(self, reason: str) -> None:
        """End every session, and return when all sinks have finished their files."""
        self.closing = True
        if self._teller is not None:
            self._teller.cancel()
        now = self._clock.time()
        if self.witness is not None:
            self.witness(Ended(now, reason))
        for live in list(self.sessions.values()):
            if not self._is_over(live, now):
                self._end(live, reason, now)
        await asyncio.gather(*self._ending)
        for lane in self._lanes:
            await lane.close()
        self._refusals.close()

    # From the wire

    def connect(self, peer: Speaker, request: Request | None = None) -> Link:
        """A peer has dialled."""
        self._connections += 1
        if self.witness is not None and request is not None:
            path, headers = told_path(request.path), told_headers(request.headers.raw_items())
            asked = told_asked(peer.asked)
            self.witness(Opened(self._clock.time(), self._connections, self.wall(), path, headers, asked))
        return Link(self, peer, self._connections)

    def take_over(self, peer: Peer, handed: Handed) -> Link:
        """Another worker handed a connection over."""
        link = self.connect(peer)
        link.go_on(handed)
        return link

    def hand_over(self, link: Link, wires: Sequence[str | bytes], key: SessionKey) -> None:
        """Leave a connection to the worker that records a session, from the first message on that is not for us."""
        if self._handover is None:
            return
        first = next(at for at, wire in enumerate(wires) if self._is_elsewhere(link, wire))
        self.leave(link, lost=True)
        self._handover.give(key, *link.let_go(wires[first:]))

    def _is_elsewhere(self, link: Link, wire: str | bytes) -> bool:
        """Whether a message names a session that another worker records."""
        return link.dialect is not None and any(
            isinstance(event, Heard | Occurred) and not self.records((link.provider, event.session))
            for event in _decoded(link.dialect, wire)
        )

    def records(self, key: SessionKey | None) -> bool:
        """Whether a session is ours, and not another worker's."""
        return self._handover is None or self._handover.share.has(key)

    def ready(self) -> bool:
        """Whether every required sink takes more; if not, nobody is read from, and TCP holds the bots back."""
        for lane in self._lanes:  # noqa: SIM110 - a generator costs as much as a read of an idle socket
            if not lane.ready:
                return False
        return True

    def calm(self) -> bool:
        """Whether no sink would rather catch up before more is read."""
        return all(lane.calm for lane in self._lanes)

    def refuse(self, what: str) -> None:
        """A connection, or something that it brought, was not taken."""
        self.count(what)

    def take(self, link: Link, wires: Sequence[str | bytes]) -> None:
        """Messages of one connection. Chunks of one track that follow each other go on together."""
        now = self._clock.time()
        if self.witness is not None:
            self.witness(Took(now, link.number, wires))
        run: list[Heard] = []
        for wire in wires:
            dialect = link.dialect or self._meet(link, wire)
            if dialect is None:
                continue
            for event in _decoded(dialect, wire):
                if type(event) is Heard:
                    if run and (event.track != run[0].track or event.session != run[0].session):
                        run = self._hear(link, run, now)
                    run.append(event)
                else:
                    run = self._hear(link, run, now)
                    self._handle(link, event, now)
        self._hear(link, run, now)

    def _meet(self, link: Link, wire: str | bytes) -> Dialect | None:
        """The dialect of a connection, by its first message that is of one."""
        link.dialect = recognise(wire, asked=link.asked)
        if link.dialect is None:
            self._complaints.strange(link)
        return link.dialect

    def _hear(self, link: Link, run: list[Heard], now: float) -> list[Heard]:
        """Take chunks of one track; an empty list to begin the next run with."""
        if not run:
            return run
        heard = run[-1]
        live = self._join(link, heard.session, heard.bot, now)
        if live is None or (
            live.bringers.get(heard.track) is not link and not self._takes(live, heard.track, link, len(run))
        ):
            return []
        live.heard_at = now
        self._put_placed(live, live.session.place(run, now))
        track = live.session.tracks[heard.track]
        if track.notices:
            self._complaints.noticed(live, heard.track)
        if track.waits and live.due == math.inf:
            live.due = now + PATIENCE
            self._wake_later(live, now)
        if self._threshold is not None and heard.track == MIXED and live.mouth is not None:
            self._give_way(live.mouth, run, self._threshold)
        if self.guest is not None:
            self.guest.heard(live, run)
        return []

    def _handle(self, link: Link, event: Event | WireError, now: float) -> None:
        match event:
            case WireError():
                self._complaints.malformed(link, str(event))
            case Occurred():
                live = self._join(link, event.session, event.bot, now)
                for logged in live.session.log(event) if live is not None else ():
                    self._put(logged)
            case Pause(seconds):
                for live in link.sessions:
                    if live.mouth is not None:
                        live.mouth.hold(seconds)
            case Unknown(kind):
                self._unknown(link, kind, event.session)
            case _:
                self._unknown(link, type(event).__name__, None)

    def _unknown(self, link: Link, kind: str, session: str | None) -> None:
        live = self.sessions.get((link.provider, session)) if session is not None else None
        if session is None and link.sessions:
            live = link.sessions[0]
        self._complaints.unknown(link, live, kind, session)

    def _catch_up(self, live: Live, now: float) -> None:
        """Give what waited long enough for those before it its place, as of when that was due."""
        while live.due <= now + SLACK:
            self._put_placed(live, live.session.release(live.due))
            live.due = live.due + PATIENCE if live.session.waits else math.inf

    def _wake_later(self, live: Live, now: float) -> None:
        live.waiting = self._clock.call_later(max(0.0, live.due - now), self._wake, live)

    def _wake(self, live: Live) -> None:
        now = self._clock.time()
        self._catch_up(live, now)
        if live.due < math.inf:
            self._wake_later(live, now)

    def _put_placed(self, live: Live, placed: Sequence[Placed]) -> None:
        """Hand on what has its place; the sinks know of a track, and of its name, before its samples."""
        for item in placed:
            track = live.session.tracks[item.track]
            if not track.told:
                track.told = True
                self.news.set()
                self._put(live.summary())
                for logged in live.session.early():
                    self._put(logged)
            self._put(item)
            live.dirty = True

    def _give_way(self, mouth: Mouth, run: list[Heard], threshold: float) -> None:
        """Hold our speech while the meeting is loud."""
        if any(rms(heard.chunk.pcm) > threshold for heard in run):
            mouth.hold(HOLD_SECONDS)

    def _put(self, item: Placed | Logged | Summary) -> None:
        for lane in self._lanes:
            lane.put(item)

    # Sessions

    def _join(self, link: Link, session: str, bot: str | None, now: float) -> Live | None:
        """The live session of an id, opened if it's new, with this connection among its connections.

        None where that would be more sessions than the limits allow.
        """
        key = (link.provider, session)
        live = self.sessions.get(key)
        if live is None or link not in live.links:
            if live is not None and self._is_over(live, now):
                live = None
            if not self._has_room(key, link):
                return None
            live = live or self._open(key, bot, now)
            live.links.append(link)
            link.sessions.append(live)
            live.oddities.add(link.early)
            link.early = Oddities()
            live.session.connections += 1
            self.recorded = True
            self.news.set()
            live.dirty = True
            if live.lingering is not None:
                live.lingering.cancel()
                live.lingering = None
                live.over = math.inf
            if live.mouth is not None:
                live.mouth.back()
            self.attend(live)
        if live.due < math.inf:
            self._catch_up(live, now)
        return live

    def _has_room(self, key: SessionKey, link: Link) -> bool:
        """Whether a connection may bring one more session; ElsewhereError for one that is not ours."""
        if not self.records(key):
            raise ElsewhereError(key)
        if len(link.sessions) >= self.limits.per_connection:
            return self._refuse(TOO_MANY_OF_ONE)
        if key not in self.sessions and len(self.sessions) >= self.limits.sessions:
            return self._refuse(TOO_MANY_SESSIONS)
        return key in self.sessions or self._has_files(link, SESSION_FILES)

    def _has_files(self, link: Link, more: int) -> bool:
        """Whether a connection may have so many more files open."""
        held = sum(live.files for live in link.sessions)
        if (held + more) * SHARE > self.limits.files - self._files:
            return self._refuse(NO_FILE_LEFT)
        return True

    def _hold(self, live: Live, files: int) -> None:
        """A session may have so many more files open."""
        live.files += files
        self._files += files

    def _refuse(self, what: str) -> bool:
        """Leave out audio that somebody sent, which makes this a lossy listener. Always false."""
        self.lossy = True
        self.refuse(what)
        return False

    def _open(self, key: SessionKey, bot: str | None, now: float) -> Live:
        dialect = REGISTER[key[0]]
        line, wall = self.elsewhere(key), self.wall()
        if line is None:
            live = Live(Session(key, dialect.timing, wall, bot), dialect, now)
        else:
            zero, heard_at = (now - max(0.0, (wall - time).total_seconds()) for time in (line.started, line.touched))
            live = Live(Session.continued(key, dialect.timing, line, bot, zero, heard_at), dialect, now)
            live.began = zero
        self.sessions[key] = live
        self._hold(live, SESSION_FILES)
        self._put(live.summary())
        return live

    def resume(self, before: Summary, touched: datetime) -> None:
        """Go on with a session whose listener died, and which was last written at `touched`; its bot may be back."""
        dialect = REGISTER[before.session[0]]
        now, wall = self._clock.time(), self.wall()
        began, heard_at = (now - max(0.0, (wall - time).total_seconds()) for time in (before.started, touched))
        live = Live(Session.resumed(before, dialect.timing, began, heard_at), dialect, now)
        live.began = began
        live.oddities.malformed, live.oddities.unknown = before.malformed, dict(before.unknown)
        self.sessions[before.session] = live
        self._hold(live, SESSION_FILES + len(before.tracks))
        self._put(live.summary())
        self._wait_for_bot(live, now, lost=True)

    def leave(self, link: Link, *, lost: bool) -> None:
        """A connection is over; `lost` is whether without a goodbye."""
        now = self._clock.time()
        if self.witness is not None:
            self.witness(Left(now, link.number, lost))
        for live in link.sessions:
            live.links.remove(link)
            live.dirty = True
            if not live.links and live.session.key in self.sessions:
                self._wait_for_bot(live, now, lost=lost)
                self.attend(live)

    def _wait_for_bot(self, live: Live, now: float, *, lost: bool) -> None:
        """End the session when its bot stays away; one whose connection was lost tries to come back."""
        if self._draining:
            self._end(live, DRAINED, now)
            return
        timing = live.session.timing
        live.linger = self._linger if self._linger is not None else timing.retries if lost else timing.linger
        live.over = now + live.linger
        live.lingering = self._clock.call_later(live.linger, self._give_up, live)

    def _give_up(self, live: Live) -> None:
        """The bot of a session stayed away for too long."""
        self._end(live, f"no connection for {live.linger:g} s", live.over)

    def _is_over(self, live: Live, now: float) -> bool:
        """Whether a session has ended by now, though the loop may be late; one that has not is up to date."""
        if live.over <= now + SLACK:
            self._give_up(live)
        if self.sessions.get(live.session.key) is not live:
            return True
        self._catch_up(live, now)
        return False

    def _end(self, live: Live, reason: str, now: float) -> None:
        """Take a session off the line; its bot may come back at once, as a new one."""
        if self.sessions.pop(live.session.key, None) is None:
            return
        self._hold(live, -live.files)
        self._catch_up(live, now)
        if not self.sessions:
            self._empty.set()
        if self.guest is not None:
            self.guest.left(live)
        for timer in (live.lingering, live.waiting):
            if timer is not None:
                timer.cancel()
        for link in live.links:
            link.sessions.remove(live)
        self._put_placed(live, live.session.finish())
        for track in live.session.tracks:
            self._complaints.noticed(live, track)
        for logged in live.session.early():
            self._put(logged)
        summary = live.end(now, reason)
        self.lossy |= summary.lossy
        self._put(summary)
        if live.mouth is not None:
            closing = asyncio.create_task(live.mouth.close())
            self._ending.add(closing)
            closing.add_done_callback(self._ending.discard)

    async def _keep_telling(self) -> None:
        """Each session in its turn, evenly over the time, so that no burst of manifests holds up the audio."""
        while True:
            told = list(self.sessions.values())
            steps = min(len(told), TELL_STEPS)
            for step in range(steps):
                await asyncio.sleep(TELL_SECONDS / steps)
                for live in told[step::steps]:
                    self._look_after(live)
            if not steps:
                await asyncio.sleep(TELL_SECONDS)

    def _look_after(self, live: Live) -> None:
        if self.sessions.get(live.session.key) is not live:
            return
        self._listen_for(live)
        if live.dirty:
            live.dirty = False
            self._put(live.summary())

    def _listen_for(self, live: Live) -> None:
        """Tell once of a bot that is there and sends no audio; participants alone may all be silent."""
        steady = MIXED in live.session.tracks or not live.session.tracks
        quiet = steady and bool(live.links) and self._clock.time() - live.heard_at >= QUIET_SECONDS
        if quiet and not live.told_quiet:
            self._tell(Odd(f"no audio for {QUIET_SECONDS:g} s, though the bot is connected", live.session.key[1]))
        live.told_quiet = quiet

    def name(self, live: Live, names: Mapping[str, str]) -> None:
        """Names of participants were learnt, by the ids that the provider has for them."""
        now = self._clock.time()
        if self._is_over(live, now):
            return
        if self.witness is not None:
            self.witness(Named(now, *live.session.key, dict(names)))
        for participant, name in names.items():
            live.session.name(participant_track(participant), name)
        live.dirty = True

    def _takes(self, live: Live, track: str, link: Link, chunks: int) -> bool:
        """Whether so many chunks of a track may come over a connection that did not bring it before."""
        tracks = live.session.tracks
        if track not in tracks and len(tracks) >= self.limits.tracks:
            self._complaints.too_many_tracks(live, track, chunks, self.limits.tracks)
            return False
        if track not in tracks and not self._has_files(link, 1):
            self._complaints.without_files(live, chunks)
            return False
        if not live.takes(track, link):
            self._complaints.superseded(live, track, chunks)
            return False
        if track not in tracks:
            self._hold(live, 1)
        return True

    # Towards the bots

    def choose(self, bot: str, *, away: bool = False, deaf: bool = False) -> Live:
        """The session that a control client means; NobodyError or UsageError say what to type when it isn't clear."""
        one = choose(self.status().sessions, bot, away=away, deaf=deaf)
        return self.sessions[one.provider, one.session]

    def mouth(self, live: Live) -> Mouth:
        """A session's mouth; its rate is the one the bot was heard at, where that may be spoken too."""
        if live.mouth is None:
            rates = live.rates
            heard = [track.rate for track in live.session.tracks.values() if track.rate in rates]
            usual = (
                DEFAULT_SPEAKING_RATE if DEFAULT_SPEAKING_RATE in rates else next(iter(rates), DEFAULT_SPEAKING_RATE)
            )
            rate = heard[0] if heard else usual
            live.mouth = Mouth(
                rate, lambda chunk: self._speak(live, chunk), lambda b: self._spoken(live, b), next(self._leads)
            )
        return live.mouth

    async def pause(self, live: Live, pause: Pause) -> bool:
        """Hold our queue and tell the bot; whether it was told."""
        if pause.spelling and pause.spelling not in live.dialect.spellings:
            raise UsageError(
                f"{live.dialect.name} has no pause spelled {pause.spelling!r}",
                f"it has: {', '.join(live.dialect.spellings)}",
            )
        self.mouth(live).pause(pause.seconds)
        self.note(live, "pause", {"seconds": pause.seconds})
        return Pause in live.dialect.knows and await self._say(live, pause)

    async def stop(self, live: Live) -> tuple[float, bool]:
        """Drop our queue and have the bot drop what it was sent; seconds dropped here, and whether it was told."""
        dropped = self.mouth(live).stop()
        return dropped, Stop in live.dialect.knows and await self._say(live, Stop())

    async def hush(self, live: Live, seconds: float) -> bool:
        """Have the bot drop what it was sent, or hold it for `seconds`, and never less than it was asked to before.

        Our queue stays as it is. Whether the bot was told: some have no word for either, and 0 seconds ask for nothing.
        """
        if Stop in live.dialect.knows:
            return await self._say(live, Stop())
        held = live.mouth.paused if live.mouth is not None else 0.0
        return bool(seconds) and Pause in live.dialect.knows and await self._say(live, Pause(max(seconds, held)))

    def note(self, live: Live, kind: str, data: dict[str, Any]) -> None:
        """Keep something that occurred now in a session's event log."""
        now = self._clock.time()
        if self._is_over(live, now):
            return
        if self.witness is not None:
            self.witness(Noted(now, *live.session.key, kind, data))
        occurred = Occurred(live.session.key[1], kind, data)
        self._put(Logged(live.session.key, occurred, live.session.elapsed(now)))

    def status(self) -> Status:
        """How everything stands."""
        sessions = tuple(live.status() for live in self.sessions.values())
        return Status(self.url, sessions, self.address, self.refused, self.identity)

    async def _speak(self, live: Live, chunk: Chunk) -> bool:
        """Say speech, and mark its end where the bot can tell when it has played it."""
        if not await self._say(live, Speak(chunk)):
            return False
        if Mark in live.dialect.knows and live.mouth is not None and not live.mouth.queued:
            live.marks += 1
            await self._say(live, Mark(str(live.marks)))
        return True

    async def _say(self, live: Live, event: Event) -> bool:
        """Say something through the session's newest connection that still takes it."""
        for link in reversed(live.links):
            if await link.send(event):
                return True
        return False

    def _spoken(self, live: Live, block: Block) -> None:
        """Record a block we sent where it will be heard."""
        self.place_spoken(live, block.chunk, block.plays_at)

    def place_spoken(self, live: Live, chunk: Chunk, plays_at: float) -> None:
        """Record what is heard from `plays_at` on, on our clock."""
        now = self._clock.time()
        if self._is_over(live, now):
            return
        if self.witness is not None:
            self.witness(Spoke(now, *live.session.key, chunk.rate, plays_at, chunk.pcm))
        self._put_placed(live, live.session.place_spoken(chunk, plays_at))


def _nowhere(_: SessionKey) -> TimeLine | None:
    """No other node had any session."""
    return None


def _decoded(dialect: Dialect, wire: str | bytes) -> Sequence[Event | WireError]:
    """What a message says, or what is wrong with it."""
    try:
        return dialect.decode(wire)
    except WireError as error:
        return (error,)
