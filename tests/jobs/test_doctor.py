"""The line of `audiotap doctor` for which there is no fault at hand: a disk that is too slow."""

from __future__ import annotations

from pathlib import Path

import pytest

from audiotap.errors import Exit
from audiotap.jobs import doctor


def test_slow_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """One that would hold bots back is told, with its speed."""
    monkeypatch.setattr(doctor, "write_speed", lambda _: 1_000_000.0)
    monkeypatch.setattr(doctor, "CHECKS", {"folder": doctor.CHECKS["folder"]})
    subject = doctor.Subject("", 0, tmp_path, 0, tmp_path, ())
    assert doctor.doctor(subject, json=False) is Exit.FAILED
    line = capsys.readouterr().out
    assert "takes 976.6 KiB a second; 4.0 MiB should be" in line
    assert line.endswith("--out FOLDER\n")
