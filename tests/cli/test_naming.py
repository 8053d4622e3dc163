"""Where files go by default."""

from pathlib import Path

import pytest

from latentflow.cli.naming import MODEL_SUFFIX, beside, find_key, find_model, next_command
from latentflow.cli.output import count, names, seconds
from latentflow.errors import DataError, ModelFileError


@pytest.mark.parametrize(
    ("data", "model"),
    [
        ("data.h5", "data"),
        ("runs/a.b.csv", "runs/a.b"),
        ("data.latents.h5", "data"),
        ("data.decoded.csv", "data"),
        ("data", "data"),
    ],
)
def test_the_model_is_looked_for_where_it_was_put(data, model):
    assert beside(Path(data), MODEL_SUFFIX) == Path(model + MODEL_SUFFIX)


def test_what_is_not_there_is_named(tmp_path):
    data, model = tmp_path / "data.h5", tmp_path / ("data" + MODEL_SUFFIX)
    with pytest.raises(DataError, match=r"data\.h5 does not exist"):
        find_model(None, data)
    data.touch()
    with pytest.raises(ModelFileError, match=r"no model there; run `latentflow fit`"):
        find_model(None, data)
    with pytest.raises(ModelFileError, match="no such model file"):
        find_model(model, data)
    model.touch()
    assert find_model(None, data) == find_model(model, data) == model


def test_the_key_of_the_fit_serves_only_the_file_that_was_fitted_on():
    record = {"file": "data.h5", "key": "right"}
    assert find_key(None, Path("runs/data.h5"), record) == "right"
    assert find_key("left", Path("data.h5"), record) == "left"
    assert find_key(None, Path("other.h5"), record) is None
    assert find_key(None, Path("data.csv"), {"file": "data.csv", "key": ""}) is None


def test_the_next_command_can_be_pasted():
    assert (
        next_command("encode", Path("my data.h5"), Path("my data" + MODEL_SUFFIX))
        == "latentflow encode 'my data.h5'"
    )
    assert next_command("encode", Path("data.h5"), Path("m")) == "latentflow encode data.h5 --model m"


def test_words_for_numbers():
    assert (count(0, "row"), count(1, "row"), count(12345, "row")) == ("0 rows", "1 row", "12 345 rows")
    assert (seconds(5.26), seconds(600)) == ("5.3 s", "10.0 min")
    assert names(["a"] * 20).endswith("and 8 more")
