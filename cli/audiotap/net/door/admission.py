"""Who may connect: the path and the headers of a request decide, and never where it comes from.

A tunnel on this machine brings everybody's connections from 127.0.0.1, so no address is a reason to trust anybody.
Browsers say which page sent them (`Origin`), bots don't. A request that carries a signature is judged by that; any
other one by the secret in its path.

Sources: https://www.standardwebhooks.com, "Authenticating requests from Recall.ai".
"""

from __future__ import annotations

import base64
import hmac
from collections.abc import Sequence
from enum import Enum
from pathlib import Path

import msgspec
from standardwebhooks.webhooks import EmptyWebhookSecretError, Webhook, WebhookVerificationError
from websockets.datastructures import Headers

from audiotap.errors import UsageError
from audiotap.net.door.replays import Replays

SIGNATURE = ("webhook-id", "webhook-timestamp", "webhook-signature")
"""The headers of a signed request; over an empty body, for a websocket has none yet."""
LEGACY = ("svix-id", "svix-timestamp", "svix-signature")
"""The same under their older names, by which a request is judged that has none of the newer ones."""


class Refusal(Enum):
    """Why somebody is not let in: the HTTP status, the word for them, and that for the log; none of it is theirs."""

    PATH = (404, "no such path", "no secret in the path, or a wrong one; audiotap url prints the right address")
    UNSIGNED = (401, "not signed", "not signed, and --no-secret leaves nothing else that would let them in")
    SIGNATURE = (
        401,
        "signature refused",
        "not signed with a secret of ours within 5 minutes; is AUDIOTAP_RECALL_SECRET right, and this machine's clock?",
    )
    REPLAY = (401, "signature used before", "a signature that was used before, so somebody may have seen it")
    ORIGIN = (403, "not for web pages", "sent by a web page; --allow-origin lets one in")
    TLS = (0, "", "somebody speaks TLS to a port without it: dial ws://, or add --tls-cert and --tls-key")
    PLAIN = (400, "this port speaks TLS: dial wss://", "somebody speaks without TLS to a port with it: dial wss://")
    HANDSHAKE = (0, "", "no TLS handshake: they do not trust the certificate, or speak no version that we do")

    def __init__(self, status: int, answer: str, reason: str) -> None:
        self.status = status
        self.answer = answer
        self.reason = reason

    @property
    def kind(self) -> str:
        """Its word in `audiotap status`."""
        return self.name.lower()

    @classmethod
    def of(cls, kind: str) -> Refusal:
        return cls[kind.upper()]


class Rules(msgspec.Struct, frozen=True):
    """What lets somebody in. Without `secret` and `recall` the port is open to all but browsers.

    `secret` is the last part of the path; `recall` are secrets of Recall workspaces (`whsec_…`); `origins` are web
    pages that may connect; `replays` is the folder of signatures that were used.
    """

    secret: str = ""
    recall: tuple[str, ...] = ()
    origins: tuple[str, ...] = ()
    replays: Path | None = None

    @property
    def open(self) -> bool:
        return not self.secret and not self.recall

    def __repr__(self) -> str:
        return f"Rules(open={self.open})"


class Admission:
    """The rules at work. UsageError for a secret of Recall's that is none."""

    def __init__(self, rules: Rules) -> None:
        self._secret = rules.secret.encode()
        self._origins = frozenset(map(str.lower, rules.origins))
        self._signers = [_signer(secret) for secret in rules.recall]
        self._replays = Replays(rules.replays)

    def refuses(self, path: str, headers: Headers, now: float) -> Refusal | None:
        """Why a request is refused; None for one that is admitted. `now` is the wall clock's."""
        if any(origin.lower() not in self._origins for origin in headers.get_all("Origin")):
            return Refusal.ORIGIN
        for names in (SIGNATURE, LEGACY):
            if self._signers and any(name in headers for name in names):
                return self._refuses_signed(names, headers, now)
        if self._secret:
            return None if hmac.compare_digest(_last_part(path), self._secret) else Refusal.PATH
        return Refusal.UNSIGNED if self._signers else None

    def _refuses_signed(self, names: Sequence[str], headers: Headers, now: float) -> Refusal | None:
        told = {known: headers.get_all(name) for known, name in zip(SIGNATURE, names, strict=True)}
        signed = {known: values[0] for known, values in told.items() if len(values) == 1}
        if not any(_verifies(signer, signed) for signer in self._signers):
            return Refusal.SIGNATURE
        content = f"{signed['webhook-id']}.{int(float(signed['webhook-timestamp']))}"
        return None if self._replays.is_first(content, now) else Refusal.REPLAY


def _last_part(path: str) -> bytes:
    """A proxy may put something in front of the secret, and a provider a slash behind it."""
    return path.partition("?")[0].rstrip("/").rpartition("/")[2].encode(errors="replace")


def _signer(secret: str) -> Webhook:
    encoded = secret.removeprefix("whsec_")
    try:
        return Webhook(base64.b64decode(encoded + "=" * (-len(encoded) % 4), validate=True))
    except (ValueError, EmptyWebhookSecretError) as error:
        raise UsageError("one of Recall's secrets is none", "copy it whole from Recall's dashboard: whsec_…") from error


def _verifies(signer: Webhook, signed: dict[str, str]) -> bool:
    try:
        signer.verify("", signed, json_parse=False)
    except (WebhookVerificationError, ValueError):
        return False
    return True
