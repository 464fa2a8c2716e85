"""What was said in a conversation, as text: by whom, when, in the order in which it was said.

A transcript of the user is often there only after the agent's answer, so each item has its place from its beginning on.
"""

from __future__ import annotations

from typing import Any

import msgspec

from audiotap.agent_events import AgentEvent, Replying, Role, Speech, SpeechStarted, Transcript, Write

MOST_TEXT = 100_000
"""Characters of one thing that is said; a network may say more."""
MOST_SAID = 100_000
"""Things that are said in one conversation."""


class Said(msgspec.Struct):
    """One thing that was said, from `at` seconds on the time line. `heard` is how much of it was, if it was cut."""

    role: Role
    at: float
    text: str = ""
    final: bool = False
    heard: float | None = None


class Dialogue:
    """The things that were said. `changed` returns those that became final, so that they can be told once."""

    def __init__(self) -> None:
        self.said: list[Said] = []
        self._items: dict[tuple[Role, str], Said] = {}
        self._waiting: Said | None = None
        self._begun = 0

    @property
    def unwritten(self) -> bool:
        """Whether there is something that the user said, by its name, and not as text yet."""
        return any(role == "user" and not said.final for (role, _), said in self._items.items())

    def take(self, event: AgentEvent, now: float) -> Said | None:
        """Take what an agent says at `now`; what was said, if that is complete by this."""
        match event:
            case SpeechStarted(item=item):
                self._waiting = self._place("user", item, now)
            case Replying():
                self._waiting = None
            case Speech(item=item) if item:
                self._place("agent", item, now)
            case Transcript():
                return self._write(event, now)
        return None

    def wrote(self, event: Write, now: float) -> Said:
        """The user said something in text."""
        said = Said("user", now, event.text[:MOST_TEXT], final=True)
        self.said.append(said)
        return said

    def renew(self) -> None:
        """The agent has a new connection: its names mean nothing any more, and nothing more comes of what it said."""
        self._items.clear()
        self._waiting = None
        self._begun = len(self.said)

    def cut(self, item: str, heard: float) -> None:
        """An item of the agent's was interrupted after so many seconds of it were heard."""
        said = self._items.get(("agent", item))
        if said is not None:
            said.heard = round(heard, 3)

    def rows(self) -> list[dict[str, Any]]:
        """All that was said, for JSON; what never became text is left out."""
        return [
            {"role": said.role, "at": round(said.at, 3), "text": said.text, "final": said.final}
            | ({"heard": said.heard} if said.heard is not None else {})
            for said in self.said
            if said.text
        ]

    def _place(self, role: Role, item: str, now: float) -> Said:
        said = self._items.get((role, item)) if item else None
        if said is None:
            said = Said(role, now)
            if len(self.said) < MOST_SAID:
                self.said.append(said)
                if item:
                    self._items[role, item] = said
        return said

    def _write(self, event: Transcript, now: float) -> Said | None:
        said = self._items.get((event.role, event.item)) if event.item else self._unnamed(event.role)
        if said is None:
            said = self._place(event.role, event.item, now)
        if said.final and not event.final:
            return None
        if said.final and said.text != event.text[:MOST_TEXT]:
            said = self._place(event.role, "", now)
        news = event.final and not said.final
        said.text = event.text[:MOST_TEXT] if event.final else (said.text + event.text)[:MOST_TEXT]
        said.final = said.final or event.final
        return said if news and said.text else None

    def _unnamed(self, role: Role) -> Said | None:
        """What is still to become text, where the agent names no items."""
        if role == "user" and self._waiting is not None and not self._waiting.final:
            return self._waiting
        last = next((said for said in reversed(self.said[self._begun :]) if said.role == role), None)
        return last if last is not None and not last.final else None
