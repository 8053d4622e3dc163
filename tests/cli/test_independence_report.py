"""`latentflow independence-report`: a page, its JSON, and the headline figures."""

import html
import json

import h5py
import numpy as np
import pytest

from latentflow.data.tables import open_table

FEW = "--n-boot=50"


@pytest.fixture(scope="module")
def reported(fitted_folder, run, tmp_path_factory):
    """Output of a report on the model's own file, and where it was written."""
    folder = tmp_path_factory.mktemp("reported")
    result = run("independence-report", fitted_folder / "data.h5", FEW, "-o", folder / "page.html")
    return result, folder


def test_the_page_and_its_json_are_written_and_told(reported):
    result, folder = reported
    assert sorted(path.name for path in folder.iterdir()) == ["page.html", "page.json"]
    assert str(folder / "page.html") in result.stdout
    page = html.unescape((folder / "page.html").read_text(encoding="utf-8"))
    figures = json.loads((folder / "page.json").read_text(encoding="utf-8"))
    assert figures["verdict"]["headline"] in page
    # the terminal has the hyphen that every terminal has, the page the minus sign
    assert figures["verdict"]["headline"].replace("−", "-") in result.stdout.replace("−", "-")


def test_on_the_file_of_the_fit_the_held_out_rows_are_judged(reported, fitted_folder, model):
    rows = json.loads((reported[1] / "page.json").read_text(encoding="utf-8"))["rows"]
    assert (rows["which"], rows["n_eval"], rows["n_table"]) == ("held out", 60, 300)
    assert "60 held-out rows" in reported[0].stdout


def test_on_another_file_all_rows_are_judged_and_files_go_beside_it(run, folder, write_table, tiny_rows):
    data = write_table(folder / "new.h5", tiny_rows(120, seed=5))
    words = ["--model", folder / "data.latentflow.safetensors", FEW, "--json"]
    told = json.loads(run("independence-report", data, *words).stdout)
    assert (told["result"]["rows"]["which"], told["result"]["rows"]["n_eval"]) == ("all", 120)
    assert told["output"] == str(folder / "new.independence.html")
    written = json.loads((folder / "new.independence.json").read_text(encoding="utf-8"))
    assert written == told["result"]


def test_rows_seed_and_draws_reach_the_analysis(run, folder):
    words = ["--rows=all", "--seed=7", "--n-boot=20", "--json"]
    result = json.loads(run("independence-report", folder / "data.h5", *words).stdout)["result"]
    assert result["rows"]["n_eval"] == 300
    assert (result["provenance"]["seed"], result["provenance"]["n_boot"]) == (7, 20)


def test_missing_values_are_refused_or_left_out(run, folder, write_table):
    rows = open_table(folder / "data.h5").read()
    rows[4, 0] = np.nan
    data = write_table(folder / "gaps.h5", rows)
    words = ["--model", folder / "data.latentflow.safetensors", FEW]
    refusal = run("independence-report", data, *words, code=2).stderr
    assert "voltage" in refusal
    assert "--missing drop" in refusal
    assert not list(folder.glob("gaps.independence*"))
    told = json.loads(run("independence-report", data, *words, "--missing", "drop", "--json").stdout)
    assert told["result"]["rows"]["n_eval"] == 299


def test_a_model_without_held_out_rows_cannot_be_judged_on_its_own_file(run, folder, tiny):
    run("fit", folder / "data.h5", *tiny, "--held-out", "0")
    refusal = run("independence-report", folder / "data.h5", FEW, code=2).stderr
    assert "--held-out" in refusal


def test_page_and_json_cannot_be_one_file_nor_one_that_is_read(run, folder):
    assert (
        "--json-output"
        in run("independence-report", folder / "data.h5", "-o", folder / "a.json", code=2).stderr
    )
    before = (folder / "data.h5").read_bytes()
    run("independence-report", folder / "data.h5", "--json-output", folder / "data.h5", code=2)
    assert (folder / "data.h5").read_bytes() == before


def test_without_a_model_the_way_out_is_told(run, folder):
    (folder / "data.latentflow.safetensors").unlink()
    assert "latentflow fit" in run("independence-report", folder / "data.h5", code=2).stderr


def test_sources_in_the_file_are_matched_with_every_representation(run, folder):
    data = folder / "data.h5"
    rows = open_table(data, key="X").read()
    with h5py.File(data, "a") as file:
        file["truth"] = rows[:, ::-1]
    words = ["--key=X", "--sources=truth", FEW, "--json"]
    result = json.loads(run("independence-report", data, *words).stdout)["result"]
    raw = result["recovery"]["entries"][0]
    assert (raw["name"], raw["mcc_pearson"], raw["matched"]) == ("raw", pytest.approx(1.0), [2, 1, 0])


def test_a_peer_is_named_in_the_ledger(run, folder):
    pytest.importorskip("picard")
    result = json.loads(
        run("independence-report", folder / "data.h5", "--peer=picard", FEW, "--json").stdout
    )["result"]
    assert [entry["name"] for entry in result["ledger"]["entries"]][3] == "picard"
