"""The group: help that imports nothing heavy, and failures that end in one line and a code."""

import errno
import subprocess
import sys
import warnings

import pytest

import latentflow
from latentflow.cli import main
from latentflow.errors import LatentFlowError, LatentFlowWarning

COMMANDS = (
    "fit",
    "encode",
    "decode",
    "orient",
    "traverse",
    "clean",
    "independence-report",
    "compare",
    "stability",
    "trajectory-report",
    "verify",
    "info",
)


@pytest.fixture
def info_that(monkeypatch):
    """Function that lets `latentflow info` do something else when it opens a table."""

    def replace(action):
        monkeypatch.setattr("latentflow.cli.info.open_table", lambda *_, **__: action())

    return replace


def fail(error):
    def action():
        raise error

    return action


def test_help_lists_every_command_and_imports_nothing_heavy():
    script = (
        "import sys; from latentflow.cli.main import latentflow\n"
        "latentflow(['--help'], standalone_mode=False)\n"
        "heavy = {'torch', 'pandas', 'numpy', 'sklearn', 'matplotlib', 'h5py', 'rich'} & set(sys.modules)\n"
        "sys.exit(f'imported {heavy}' if heavy else 0)"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert all(f"  {command} " in done.stdout for command in COMMANDS)


def test_help_of_the_fit_does_not_load_what_fits():
    script = (
        "import sys; from latentflow.cli.main import latentflow\n"
        "latentflow(['fit', '--help'], standalone_mode=False)\n"
        "heavy = {'torch', 'pandas', 'sklearn', 'matplotlib', 'h5py'} & set(sys.modules)\n"
        "sys.exit(f'imported {heavy}' if heavy else 0)"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "--orientation" in done.stdout


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_help_that_shows_its_defaults(run, command):
    text = run(command, "--help").output
    assert "--json" in text
    assert "[default:" in text


def test_version(run):
    assert run("--version").output.strip().endswith(latentflow.__version__)


def test_an_unknown_command_names_those_that_there_are(run):
    text = run("encod", code=2).stderr
    assert "No such command 'encod'" in text
    assert all(command in text for command in COMMANDS)


def test_a_file_that_does_not_exist_is_one_line_on_stderr(run, tmp_path):
    for command in ("fit", "info"):
        result = run(command, tmp_path / "none.h5", code=2)
        assert result.stdout == ""
        assert result.stderr.startswith("latentflow: error: ")
        assert "none.h5" in result.stderr
        assert result.stderr.count("\n") == 1


def test_a_library_error_of_several_lines_becomes_one(run, folder, info_that):
    info_that(fail(LatentFlowError("column 'a'\n  is  bad")))
    assert run("info", folder / "data.h5", code=2).stderr == "latentflow: error: column 'a' is bad\n"


def test_ctrl_c_ends_with_130(run, folder, info_that):
    info_that(fail(KeyboardInterrupt()))
    result = run("info", folder / "data.h5", code=130)
    assert result.stderr.startswith("latentflow: error: interrupted")


@pytest.mark.parametrize(
    ("error", "told"),
    [
        (OSError(errno.ENOSPC, "No space left on device", "out.h5"), "out.h5: no space left on the device"),
        (PermissionError(errno.EACCES, "Permission denied", "out.h5"), "out.h5: Permission denied"),
        (OSError("something\nodd"), "something odd"),
        (MemoryError("8 GiB"), "not enough memory: 8 GiB"),
        (type("OutOfMemoryError", (RuntimeError,), {})("CUDA"), "not enough memory: CUDA"),
    ],
)
def test_what_the_machine_refuses_is_one_line(run, folder, info_that, error, told):
    info_that(fail(error))
    assert run("info", folder / "data.h5", code=2).stderr.startswith(f"latentflow: error: {told}")


def test_a_fault_of_our_own_is_not_dressed_up(run, folder, info_that):
    info_that(fail(RuntimeError("a bug")))
    with pytest.raises(RuntimeError, match="a bug"):
        run("info", folder / "data.h5")


def test_a_warning_is_one_line_on_stderr_and_the_work_goes_on(run, folder, info_that):
    open_table = main.import_module("latentflow.data.tables").open_table

    def action():
        warnings.warn("column 'a'\nfollows from 'b'", LatentFlowWarning, stacklevel=1)
        return open_table(folder / "data.h5")

    info_that(action)
    result = run("info", folder / "data.h5")
    assert result.stderr == "latentflow: warning: column 'a' follows from 'b'\n"
    assert "300 rows" in result.stdout
