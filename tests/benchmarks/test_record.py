"""The benchmarks in MLflow: the same figures, recorded once per set of results."""

from pathlib import Path

import pytest
from mlflow.tracking import MlflowClient

from benchmarks.report.figures import figures
from benchmarks.report.record import EXPERIMENT, metric_name, record
from commentwise.fileio import write_json, write_text
from tests.benchmarks.sample_results import serving, training


def test_recording_results_again_adds_no_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("DVC_ROOT", str(tmp_path))
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    results, report = tmp_path / "results", tmp_path / "report"
    write_json(results / "serving.json", serving())
    write_text(report / "index.html", "a page")
    first = record(results, report)
    assert "has these results already" in record(results, report)

    client = MlflowClient(f"sqlite:///{tmp_path / 'mlflow.db'}")
    experiment = client.get_experiment_by_name(EXPERIMENT)
    assert experiment is not None
    (run,) = client.search_runs([experiment.experiment_id])
    assert run.info.run_id in first
    for name, figure in figures({"serving": serving()}).items():
        assert run.data.metrics[metric_name(name)] == figure.value
        assert run.data.metrics[f"{metric_name(name)}/high"] == figure.high
    assert [found.path for found in client.list_artifacts(run.info.run_id, "results")] == ["results/serving.json"]

    write_json(results / "training.json", training())
    record(results, report)
    assert len(client.search_runs([experiment.experiment_id])) == 2
