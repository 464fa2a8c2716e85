"""Figures as Prometheus reads them. The only module that needs prometheus-client."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from typing import NamedTuple

from audiotap import __version__
from audiotap.errors import MachineError
from audiotap.net.fleet.metrics.figures import Figures

try:
    from prometheus_client import CollectorRegistry, generate_latest
    from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
    from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4 as CONTENT_TYPE
    from prometheus_client.registry import Collector
except ImportError as error:
    raise MachineError(
        "--metrics needs prometheus-client", f"type: {sys.executable} -m pip install prometheus-client"
    ) from error

__all__ = ["CONTENT_TYPE", "COUNTERS", "GAUGES", "LATE", "exposition"]


class Meaning(NamedTuple):
    """A metric without the prefix, in its field's words; `label` is empty where there is none."""

    name: str
    label: str
    help: str


COUNTERS = (
    Meaning("sessions_started", "", "Sessions that began here, or were gone on with."),
    Meaning("sessions_ended", "result", "Sessions that ended, whole or lossy by what the bots sent."),
    Meaning("connections_opened", "", "Connections that brought a session."),
    Meaning("connections_refused", "reason", "Connections that were not let in."),
    Meaning("chunks", "track_kind", "Chunks of audio that have their place."),
    Meaning("audio_bytes", "track_kind", "Bytes of that audio as 16-bit samples, without gaps."),
    Meaning("audio_seconds", "track_kind", "Seconds of that audio, without gaps."),
    Meaning("gaps", "track_kind", "Holes that became silence; participants who are muted leave them, too."),
    Meaning("gap_seconds", "track_kind", "Seconds of that silence."),
    Meaning("chunks_odd", "what", "Chunks whose time or number was odd, by what was."),
    Meaning("messages_odd", "what", "Messages that were malformed, or unknown."),
    Meaning("cpu_seconds", "", "Processor time of all processes of this listener."),
)
GAUGES = (
    Meaning("sessions", "state", "Sessions that are open: with a connection, or waiting for one."),
    Meaning("tracks", "track_kind", "Tracks of open sessions."),
    Meaning("connections", "", "Connections that are open."),
    Meaning("queue_bytes", "", "Audio that waits for the disk."),
    Meaning("speech_queue_seconds", "", "Speech that waits for its time, of all bots together."),
    Meaning("recording_lossy", "", "Whether the disk ever refused something, or too much waited for it."),
    Meaning("disk_free_bytes", "", "Space for recordings that is left on the disk."),
    Meaning("ready", "", "Whether /readyz says yes."),
    Meaning("workers", "", "Processes that record."),
)
LATE = Meaning("late_seconds", "", "By how much the event loop was late, looked at ten times a second.")


class _Figured(Collector):
    """Figures as families of metrics."""

    def __init__(self, figures: Figures) -> None:
        self._figures = figures

    def collect(self) -> Iterator[Metric]:
        for meaning in COUNTERS:
            counter = CounterMetricFamily(f"audiotap_{meaning.name}", meaning.help, labels=_labels(meaning))
            for value, number in _values(self._figures.grown, meaning):
                counter.add_metric(value, number)
            yield counter
        for meaning in GAUGES:
            gauge = GaugeMetricFamily(f"audiotap_{meaning.name}", meaning.help, labels=_labels(meaning))
            for value, number in _values(self._figures.now, meaning):
                gauge.add_metric(value, number)
            yield gauge
        yield self._late()
        build = GaugeMetricFamily("audiotap_build_info", "This version of audiotap.", labels=["version"])
        build.add_metric([__version__], 1)
        yield build

    def _late(self) -> Metric:
        late = HistogramMetricFamily(f"audiotap_{LATE.name}", LATE.help)
        found = {label: number for (name, label), number in self._figures.grown.items() if name == LATE.name}
        total = found.pop("sum", 0.0)
        buckets, sofar = [], 0.0
        for bound, number in sorted(found.items(), key=lambda bucket: float(bucket[0])):
            sofar += number
            buckets.append((bound, sofar))
        if buckets:
            late.add_metric([], buckets, total)
        return late


def _labels(meaning: Meaning) -> list[str]:
    return [meaning.label] if meaning.label else []


def _values(numbers: dict[tuple[str, str], float], meaning: Meaning) -> Iterator[tuple[list[str], float]]:
    for (name, value), number in sorted(numbers.items()):
        if name == meaning.name:
            yield ([value] if meaning.label else []), number


def exposition(figures: Figures) -> bytes:
    """The text of a scrape."""
    registry = CollectorRegistry(auto_describe=False)
    registry.register(_Figured(figures))
    return generate_latest(registry)
