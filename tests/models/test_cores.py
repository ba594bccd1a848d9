import os
from pathlib import Path

import pytest

from commentwise.models import cores

HERE = len(os.sched_getaffinity(0))


@pytest.fixture(autouse=True)
def folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """A folder in place of the kernel's cgroup files."""
    monkeypatch.setattr(cores, "CGROUPS", tmp_path)
    return tmp_path


@pytest.mark.parametrize(
    ("limit", "expected"),
    [("max 100000", HERE), ("100000 100000", 1), ("50000 100000", 1), ("199999 100000", 1), ("6400000 100000", HERE)],
)
def test_a_limit_of_cgroup_v2_counts_as_whole_cores(limit: str, expected: int, folder: Path) -> None:
    (folder / "cpu.max").write_text(f"{limit}\n", encoding="ascii")
    assert cores.available_cores() == expected


@pytest.mark.parametrize(("quota", "expected"), [("-1", HERE), ("100000", 1), ("6400000", HERE)])
def test_a_limit_of_cgroup_v1_counts_as_whole_cores(quota: str, expected: int, folder: Path) -> None:
    (folder / "cpu").mkdir()
    (folder / "cpu/cpu.cfs_quota_us").write_text(f"{quota}\n", encoding="ascii")
    (folder / "cpu/cpu.cfs_period_us").write_text("100000\n", encoding="ascii")
    assert cores.available_cores() == expected


def test_without_a_limit_all_cores_count() -> None:
    assert cores.available_cores() == HERE
