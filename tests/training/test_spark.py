"""MLflow and Spark: the registered model gives the labels of the local classifier; CSV written by Spark is read."""

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import mlflow
import pandas as pd
import pytest
from mlflow.tracking import MlflowClient

from commentwise.comments.files import Options, Source
from commentwise.errors import CommentwiseError
from commentwise.models.bundle import Classifier
from commentwise.training.project import Project
from commentwise.training.registry import publish
from tests.serving.process import ROOT
from tests.training.test_publish import client, store  # noqa: F401  # fixtures

TEXTS = ["a good video", "bad video", "", "the video", None, "i hate it", "x" * 20_001]


@pytest.fixture
def published(client: MlflowClient) -> Path:  # noqa: F811
    publish.main()
    return Project().bundle


def expected(bundle: Path) -> list[str]:
    classifier = Classifier(bundle)
    return [classifier.predict([text])[0].label if text and len(text) < 20_000 else "" for text in TEXTS]


def test_the_champion_as_an_mlflow_pyfunc_model(published: Path) -> None:
    model = mlflow.pyfunc.load_model("models:/commentwise@champion")
    predictions = model.predict(pd.DataFrame({"text": TEXTS}))
    assert list(predictions.columns) == ["label", "confidence", "p_negative", "p_neutral", "p_positive"]
    assert predictions["label"].tolist() == expected(published)
    assert model.metadata.get_output_schema().input_names() == list(predictions.columns)


def test_the_model_runs_without_the_repository(published: Path, tmp_path: Path) -> None:
    code = f"""
import mlflow, pandas
model = mlflow.pyfunc.load_model("models:/commentwise@champion")
import commentwise.models
assert "{ROOT}" not in commentwise.models.__file__, commentwise.models.__file__
print(model.predict(pandas.DataFrame({{"text": ["a good video"]}})).label[0])
"""
    environment = {"MLFLOW_TRACKING_URI": f"sqlite:///{Path('mlflow.db').resolve()}", "PATH": "/usr/bin:/bin"}
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == ["positive"]


@pytest.fixture(scope="module")
def spark() -> Iterator[Any]:
    if shutil.which("java") is None and "CI" not in os.environ:
        pytest.skip("Spark needs Java: apt-get install default-jre-headless")
    from pyspark.sql import SparkSession

    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYSPARK_PYTHON", sys.executable)
        session = SparkSession.builder.master("local[2]").config("spark.ui.enabled", "false").getOrCreate()
        yield session
        session.stop()


def test_spark_gives_the_same_labels(published: Path, spark: Any) -> None:
    table = spark.createDataFrame([(number, text) for number, text in enumerate(TEXTS)], "id int, Comment string")
    scored = mlflow.pyfunc.spark_udf(spark, "models:/commentwise@champion", env_manager="local")
    rows = table.repartition(2).withColumn("answer", scored("Comment")).orderBy("id").collect()
    assert [row.answer.label for row in rows] == expected(published)
    assert all(row.answer.confidence > 1 / 3 for row in rows if row.answer.label)


def test_csv_written_by_spark_comes_back(spark: Any, tmp_path: Path) -> None:
    texts = ['say "hi"', 'x, \\"', "C:\\\\temp", "ends, \\", 'two\nlines, "quoted"', "a\rb", "plain"]
    spark.createDataFrame([(text, "x") for text in texts], "text string, label string").coalesce(1).write.csv(
        str(tmp_path / "out"), header=True
    )
    (path,) = (tmp_path / "out").glob("*.csv")
    with Source(str(path), Options(quotes="backslash")).opened() as table:
        assert [(row.reason, row.values["text"]) for row in table.rows] == [("", text) for text in texts]
    with pytest.raises(CommentwiseError, match="a backslash before a quote"), Source(str(path)).opened() as table:
        list(table.rows)
