"""Where files go by default."""

from pathlib import Path

import pytest

from latentflow.cli.naming import MODEL_SUFFIX, beside, find_model, next_command
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


def test_the_next_command_can_be_pasted():
    assert (
        next_command("encode", Path("my data.h5"), Path("my data" + MODEL_SUFFIX))
        == "latentflow encode 'my data.h5'"
    )
    assert next_command("encode", Path("data.h5"), Path("m")) == "latentflow encode data.h5 --model m"
