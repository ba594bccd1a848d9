import os
from pathlib import Path

import pytest

from models import cores

HERE = len(os.sched_getaffinity(0))


@pytest.mark.parametrize(
    ("limit", "expected"),
    [("max 100000", HERE), ("100000 100000", 1), ("50000 100000", 1), ("199999 100000", 1), ("6400000 100000", HERE)],
)
def test_a_containers_share_counts_as_whole_cores(
    limit: str, expected: int, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "cpu.max").write_text(f"{limit}\n", encoding="ascii")
    monkeypatch.setattr(cores, "QUOTA", tmp_path / "cpu.max")
    assert cores.available_cores() == expected


def test_without_a_container_all_cores_count(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(cores, "QUOTA", tmp_path / "none")
    assert cores.available_cores() == HERE
