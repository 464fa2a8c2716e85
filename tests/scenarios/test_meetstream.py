"""MeetStream's bots: a connection for audio and one for commands, and one session of both."""

from __future__ import annotations

from tests.scenarios.harness import ANA, BO, HELLO, Place, assert_same, read, sounding, tone, write


async def test_speakers_are_recorded_by_id_and_name(place: Place) -> None:
    """Each has a track at 48000 Hz, whole; both connections are of one session."""
    listener = await place.listen()
    told = ("--provider", "meetstream", "--file", ANA, "--file", BO, "--seconds", 2, "--record", place.folder / "sent")
    summary = (await (await place.bot(listener.url, *told)).ended()).json
    ended = await listener.stop()

    recording = await listener.finished("sim")
    assert recording.manifest["connections"] == 2
    assert {entry["track"]: entry["names"] for entry in recording.manifest["tracks"]} == {"100": ["ana"], "101": ["bo"]}
    for sent in summary["sent"]:
        assert_same(sounding(recording.samples(sent["track"])), sounding(read(place.folder / sent["file"])))
        assert recording.entry(sent["track"])["rate"] == 48000
    assert ended.status == 0


async def test_speech_goes_to_the_connection_for_commands(place: Place) -> None:
    """Though the one for audio may be the newer one."""
    listener = await place.listen()
    told = ("--provider", "meetstream", "--file", ANA, "--loop", "--record", place.folder / "bot")
    bot = await place.bot(listener.url, *told)
    await listener.event("track.started", track="100")
    voice = tone(1.0, 48000)
    spoken = await place.run("speak", write(place.folder / "voice.wav", voice, 48000))
    summary = (await bot.stop()).json
    await listener.stop()

    assert spoken.status == 0
    assert summary["received"] == {"speak": 10}
    assert_same(sounding(read(place.folder / "bot" / "played.wav")), sounding(voice))


async def test_stop_interrupts(place: Place) -> None:
    """The bot is told to clear its queue, too."""
    listener = await place.listen()
    bot = await place.bot(listener.url, "--provider", "meetstream", "--file", ANA, "--loop")
    await listener.event("track.started", track="100")
    speaking = await place.start("speak", HELLO)
    while not (await place.run("status", "--json")).json[0]["sessions"][0]["queue"]:
        pass
    await place.run("stop")
    await speaking.ended()
    summary = (await bot.stop()).json
    await listener.stop()
    assert summary["received"]["stop"] == 1


async def test_workers_bring_both_connections_together(place: Place) -> None:
    """Whichever worker each comes to: one session has both, and can be spoken to."""
    listener = await place.listen("--workers", 2)
    bots = [
        await place.bot(listener.url, "--provider", "meetstream", "--id", name, "--file", ANA, "--loop")
        for name in ("bot_1", "bot_2", "bot_3")
    ]
    for name in ("bot_1", "bot_2", "bot_3"):
        await listener.event("track.started", session=name)
        spoken = await place.run("speak", write(place.folder / "voice.wav", tone(0.2, 48000), 48000), "--bot", name)
        assert spoken.status == 0
    summaries = [(await bot.stop()).json for bot in bots]
    await listener.stop()

    assert [summary["received"] for summary in summaries] == [{"speak": 2}] * 3
    for name in ("bot_1", "bot_2", "bot_3"):
        assert (await listener.finished(name)).manifest["connections"] >= 2
