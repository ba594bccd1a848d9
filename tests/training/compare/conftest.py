"""A real small project whose data, parameters and code change one after the other."""

from collections.abc import Iterator

import pytest

from commentwise.comments.normalize import normalize
from commentwise.training.data import prepare
from tests.lab import Lab

REMOVED, RELABELLED = 60, 50


@pytest.fixture(scope="session")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    """Version 1; 2 with overwritten data; 3 with another parameter; 4 with another preprocessing; two experiments. Do not change it."""
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(tmp_path_factory.mktemp("lab"))
        lab = Lab(patch)
        lab.publish("first")
        rows = lab.read()[REMOVED:]
        for row in rows[:RELABELLED]:
            row["label"] = "negative" if row["label"] == "positive" else "positive"
        lab.write(rows)
        lab.publish("overwritten")
        lab.set({"families.logreg.C": [0.5]})
        lab.publish("less regular")
        lab.code("comments/normalize.py", "# the normalisation, without capital letters\n")
        patch.setattr(prepare, "normalize", lambda text: normalize(text).lower())
        lab.publish("lower case")
        lab.experiment("mild", {"families.logreg.C": [0.001], "seed": 7})
        lab.experiment("strong", {"families.logreg.C": [20]})
        yield lab
