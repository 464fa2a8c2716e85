"""What a worker's process runs: `python -m audiotap.jobs.worker DESCRIPTOR`, started by a front and by nobody else."""

from __future__ import annotations

import signal
import socket
import sys

from audiotap.jobs.running import run
from audiotap.net.workers.worker import work


def main() -> None:
    """Work for the front at the other end of the socket; signals are for the front, which tells what to do."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    run(work(socket.socket(fileno=int(sys.argv[1]))))


if __name__ == "__main__":
    main()
