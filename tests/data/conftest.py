"""What the tests of the HDF5 readers share."""

import h5py
import pytest

from latentflow.data.tables import open_table
from latentflow.errors import DataError


@pytest.fixture
def path(tmp_path):
    return tmp_path / "data.h5"


@pytest.fixture
def fill(path):
    """Function that writes datasets to `path`; double underscores in a name are the slashes of its path."""

    def write(**datasets):
        with h5py.File(path, "w") as file:
            for name, values in datasets.items():
                file[name.replace("__", "/")] = values
        return path

    return write


@pytest.fixture
def refused():
    """Function that expects a file to be refused in one line that names it, and returns that line."""

    def open_and_read(path, **options):
        with pytest.raises(DataError) as caught:
            open_table(path, **options).read()
        message = str(caught.value)
        assert "\n" not in message
        assert str(path) in message
        return message

    return open_and_read


@pytest.fixture
def refused_carry():
    """Function that expects a column not to be carried, and returns the message."""

    def carry(table, name):
        with pytest.raises(DataError) as caught:
            table.carried([name])
        return str(caught.value)

    return carry
