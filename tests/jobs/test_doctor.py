"""Lines of `audiotap doctor` for which there is no fault at hand: a slow disk, and what nobody thought of."""

from __future__ import annotations

from pathlib import Path

import pytest

from audiotap.errors import Exit
from audiotap.jobs import doctor
from audiotap.jobs.doctor import Subject


def lines(checks: dict[str, doctor.Check], out: Path, monkeypatch: pytest.MonkeyPatch) -> Exit:
    """Examine a folder by some checks."""
    monkeypatch.setattr(doctor, "CHECKS", checks)
    return doctor.doctor(Subject("", 0, out, 0, out.parent / "nobody", ()), json=False)


def test_slow_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """One that would hold bots back is told, with its speed."""
    monkeypatch.setattr(doctor, "write_speed", lambda _: 1_000_000.0)
    assert lines({"folder": doctor.CHECKS["folder"]}, tmp_path, monkeypatch) is Exit.FAILED
    line = capsys.readouterr().out
    assert "takes 976.6 KiB a second; 4.0 MiB should be" in line
    assert line.endswith("--out FOLDER\n")


def test_folder_of_no_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """One that no file system has is told with what the system says of it."""
    assert lines({"folder": doctor.CHECKS["folder"]}, tmp_path / ("a" * 300), monkeypatch) is Exit.FAILED
    assert "File name too long → choose another folder: --out FOLDER" in capsys.readouterr().out


def test_trouble_that_nobody_thought_of(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """It is a line as any other, and the lines that follow are told all the same."""

    async def surprise(_: Subject) -> str:
        raise ZeroDivisionError("what a pity")

    checks = {"surprise": surprise, "python": doctor.CHECKS["python"]}
    assert lines(checks, tmp_path, monkeypatch) is Exit.FAILED
    first, second = capsys.readouterr().out.splitlines()
    assert first.startswith("✗ failed  surprise     ZeroDivisionError: what a pity → ")
    assert second.startswith("✓ ok      python")
