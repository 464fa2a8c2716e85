"""A Python in which prometheus-client is not installed."""

import sys

sys.modules["prometheus_client"] = None  # type: ignore[assignment]
