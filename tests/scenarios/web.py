"""What a listener's web server says."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import httpx2
from prometheus_client.parser import text_string_to_metric_families
from tests.scenarios.harness import DEADLINE, Listener

Samples = dict[tuple[str, str], float]


class Web:
    """The web server of one listener, asked anew each time."""

    def __init__(self, url: str) -> None:
        self.url = url

    @classmethod
    async def of(cls, listener: Listener) -> Web:
        return cls((await listener.event("metrics"))["url"])

    async def get(self, path: str, method: str = "GET") -> httpx2.Response:
        async with httpx2.AsyncClient(trust_env=False) as client:
            return await client.request(method, self.url + path)

    async def ready(self) -> tuple[int, list[str]]:
        """The status of /readyz, and what it complains of."""
        response = await self.get("/readyz")
        return response.status_code, response.text.splitlines()

    async def metrics(self) -> Samples:
        """Every sample by its name and the value of its label, if it has one."""
        text = (await self.get("/metrics")).text
        return {
            (sample.name.removeprefix("audiotap_"), "".join(sample.labels.values())): sample.value
            for family in text_string_to_metric_families(text)
            for sample in family.samples
        }

    async def until(self, look: Callable[[Samples], bool]) -> Samples:
        """Metrics that are as wanted, asked for again and again until they are."""
        async with asyncio.timeout(DEADLINE):
            while not look(metrics := await self.metrics()):
                pass
        return metrics
