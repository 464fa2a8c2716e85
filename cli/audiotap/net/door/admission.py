"""Who may connect: the path and the headers of a request decide, and never where it comes from.

A tunnel on this machine brings everybody's connections from 127.0.0.1, so no address is a reason to trust anybody.
Browsers say which page sent them (`Origin`), bots don't. A request that carries a signature is judged by that; any
other one by the secret in its path.

Sources: https://www.standardwebhooks.com, "Authenticating requests from Recall.ai", and Twilio's "Webhooks Security".
"""

from __future__ import annotations

import base64
import hmac
from collections.abc import Sequence
from enum import Enum
from hashlib import sha1
from ipaddress import ip_address
from pathlib import Path
from urllib.parse import urlsplit

import msgspec
from standardwebhooks.webhooks import Webhook, WebhookVerificationError
from websockets.datastructures import Headers

from audiotap.errors import UsageError
from audiotap.net.door.replays import Replays

SIGNATURE = ("webhook-id", "webhook-timestamp", "webhook-signature")
"""The headers of a signed request; over an empty body, for a websocket has none yet."""
LEGACY = ("svix-id", "svix-timestamp", "svix-signature")
"""The same under their older names, by which a request is judged that has none of the newer ones."""


TWILIO = "x-twilio-signature"
"""The header of Twilio's requests: over the address that it dialled, which has no body and no time."""


PASSED_ON = ("Forwarded", "X-Forwarded-For", "X-Forwarded-Host")
"""Headers of whoever passes a request on."""
DEFAULT_PORTS = {"http": ":80", "https": ":443"}
"""What browsers leave out of an origin."""
NO_HOST = frozenset("/?#@*, ")
"""Characters that are in no host."""
LEAST_SIGNING = 16
"""Bytes of a secret with which Recall signs; Standard Webhooks has 24 to 64."""


class Refusal(Enum):
    """Why somebody is not let in: the HTTP status, the word for them, and that for the log; none of it is theirs."""

    PATH = (404, "no such path", "no secret in the path, or a wrong one; audiotap url prints the right address")
    UNSIGNED = (401, "not signed", "not signed, and --no-secret leaves nothing else that would let them in")
    SIGNATURE = (
        401,
        "signature refused",
        "not signed by a secret of ours: is AUDIOTAP_RECALL_SECRET (and the clock) or AUDIOTAP_TWILIO_TOKEN right?",
    )
    REPLAY = (401, "signature used before", "a signature that was used before, so somebody may have seen it")
    ORIGIN = (403, "not for web pages", "sent by a web page; --allow-origin lets one in")
    TLS = (0, "", "somebody speaks TLS to a port without it: dial ws://, or add --tls-cert and --tls-key")
    PLAIN = (400, "this port speaks TLS: dial wss://", "somebody speaks without TLS to a port with it: dial wss://")
    HANDSHAKE = (0, "", "no TLS handshake: they do not trust the certificate, or speak no version that we do")
    REQUEST = (0, "", "no request for a websocket, or one that is broken or too long")
    UPGRADE = (
        426,
        "",
        "a request for a page: a browser's, or a proxy in front has to pass the headers Upgrade and Connection on",
    )

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
    """What lets somebody in. Without `secret`, `recall` and `twilio` the port is open to all but browsers.

    `secret` is the last part of the path; `recall` are secrets of Recall workspaces (`whsec_…`); `origins` are web
    pages that may connect; `replays` is the folder of signatures that were used; `twilio` are tokens of Twilio
    accounts, and `public` is the URL by which Twilio dials, where the request's own host is not it.
    """

    secret: str = ""
    recall: tuple[str, ...] = ()
    origins: tuple[str, ...] = ()
    replays: Path | None = None
    twilio: tuple[str, ...] = ()
    public: str = ""

    @property
    def open(self) -> bool:
        return not (self.secret or self.recall or self.twilio)

    def __repr__(self) -> str:
        return f"Rules(open={self.open})"


class Admission:
    """The rules at work. UsageError for a secret of Recall's that is none."""

    def __init__(self, rules: Rules) -> None:
        self._secret = rules.secret.encode()
        self._origins = frozenset(rules.origins)
        self._signers = [_signer(secret) for secret in rules.recall]
        self._replays = Replays(rules.replays)
        self._tokens = [token.encode() for token in rules.twilio]
        self._public = rules.public

    def refuses(self, path: str, headers: Headers, now: float) -> Refusal | None:
        """Why a request is refused; None for one that is admitted. `now` is the wall clock's."""
        if any(origin.lower() not in self._origins for origin in headers.get_all("Origin")):
            return Refusal.ORIGIN
        for names in (SIGNATURE, LEGACY):
            if self._signers and any(name in headers for name in names):
                return self._refuses_signed(names, headers, now)
        if self._tokens and TWILIO in headers:
            return None if self._is_twilios(path, headers) else Refusal.SIGNATURE
        if self._secret:
            return None if hmac.compare_digest(_last_part(path), self._secret) else Refusal.PATH
        return Refusal.UNSIGNED if self._signers or self._tokens else None

    def without_secret(self, path: str) -> str:
        """A path as somebody may see it: the secret, where it is the last part, is cut off."""
        if not self._secret or not hmac.compare_digest(_last_part(path), self._secret):
            return path
        return path.rstrip("/").rpartition("/")[0] or "/"

    def _is_twilios(self, path: str, headers: Headers) -> bool:
        """Whether one of Twilio's tokens has signed the address that was dialled.

        Every way to write it is tried, so that the time it takes tells nothing of which was near.
        """
        told, hosts = headers.get_all(TWILIO), headers.get_all("Host")
        if len(told) != 1 or len(hosts) > 1:
            return False
        addresses = _addresses(self._public, hosts[0] if hosts else "", path)
        signatures = [twilio_signature(token, address) for token in self._tokens for address in addresses]
        right = [hmac.compare_digest(told[0].encode(errors="replace"), signature) for signature in signatures]
        return any(right)

    def _refuses_signed(self, names: Sequence[str], headers: Headers, now: float) -> Refusal | None:
        told = {known: headers.get_all(name) for known, name in zip(SIGNATURE, names, strict=True)}
        signed = {known: values[0] for known, values in told.items() if len(values) == 1}
        if not any(_verifies(signer, signed) for signer in self._signers):
            return Refusal.SIGNATURE
        content = f"{signed['webhook-id']}.{int(float(signed['webhook-timestamp']))}"
        return None if self._replays.is_first(content, now) else Refusal.REPLAY


def came_from_afar(headers: Headers) -> bool:
    """Whether a request that reached a port of this machine alone was sent to another host: a tunnel, or a proxy."""
    return any(name in headers for name in PASSED_ON) or not all(map(_is_here, headers.get_all("Host")))


def _is_here(host: str) -> bool:
    try:
        name = urlsplit(f"//{host}").hostname
        return name == "localhost" or ip_address(name or "").is_loopback
    except ValueError:
        return False


def origin(text: str) -> str:
    """A page's origin as browsers send it. UsageError for what no browser ever sends."""
    scheme, mark, host = text.strip().lower().removesuffix("/").partition("://")
    host = host.removesuffix(DEFAULT_PORTS.get(scheme, ""))
    if not (scheme and mark and host.isascii() and host and not set(host) & NO_HOST):
        raise UsageError(
            f"--allow-origin {text} is no origin of a page", "write it as https://HOST or https://HOST:PORT"
        )
    return f"{scheme}://{host}"


def twilio_signature(token: bytes, text: str) -> bytes:
    """Twilio's signature of a text: an address, and the fields of a form where there is one."""
    return base64.b64encode(hmac.new(token, text.encode(errors="replace"), sha1).digest())


def _addresses(public: str, host: str, path: str) -> list[str]:
    """How a request's address may have been written where it was ordered.

    A tunnel or a proxy may change the host, and cut a path that it stands for; whether the address ended in a slash is
    not seen here; and Twilio's own functions know of addresses that begin with https as well.
    """
    base = public.rstrip("/") if public else f"wss://{host}"
    scheme, _, rest = base.partition("://")
    origin = f"{scheme}://{rest.partition('/')[0]}"
    written = {f"{start}{path}" for start in (base, origin)}
    written |= {address.removesuffix("/") for address in written} | {f"{address}/" for address in written}
    return sorted(written | {f"https{address.removeprefix('wss')}" for address in written})


def _last_part(path: str) -> bytes:
    """A proxy may put something in front of the secret, and a provider a slash behind it."""
    return path.partition("?")[0].rstrip("/").rpartition("/")[2].encode(errors="replace")


def _signer(secret: str) -> Webhook:
    encoded = secret.removeprefix("whsec_")
    try:
        key = base64.b64decode(encoded + "=" * (-len(encoded) % 4), validate=True)
    except ValueError:
        key = b""
    if len(key) < LEAST_SIGNING:
        raise UsageError("one of Recall's secrets is none", "copy it whole from Recall's dashboard: whsec_…")
    return Webhook(key)


def _verifies(signer: Webhook, signed: dict[str, str]) -> bool:
    try:
        signer.verify("", signed, json_parse=False)
    except (WebhookVerificationError, ValueError):
        return False
    return True
