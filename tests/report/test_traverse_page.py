"""The page of a traverse: whole, quiet, escaped, and drawn as lines or as images."""

import re
from xml.etree import ElementTree

import numpy as np
import pytest

from latentflow.analysis.comparison.traverse import Traverse
from latentflow.errors import DataError
from latentflow.report.traverse_figure import is_picture, traverse_figure
from latentflow.report.traverse_page import LATENTS_DRAWN, render_traverse, write_traverse


def record(k=3, columns=("volts <b>", "amps", "still"), shape=None):
    t = np.linspace(-2, 2, 5)
    weights = np.random.default_rng(0).normal(size=(k, len(columns)))
    if shape is None:
        weights[:, -1] = 0.0
    values = 10 + t[None, :, None] * weights[:, None, :]
    return Traverse(
        latent_names=tuple(f"latent{i:02d}" for i in range(k)),
        t=t,
        columns=tuple(columns),
        values=values,
        swing=np.ptp(values, axis=1) / 2.0,
        spread=np.full(len(columns), 2.0),
        sample_shape=shape,
    )


def test_it_has_a_drawing_and_numbers_for_each_latent():
    page = render_traverse(record(), subject="my <data>.h5", table_name="x.csv")
    assert page.count("<svg") == 3
    assert "my &lt;data&gt;.h5" in page
    assert "volts &lt;b&gt;" in page
    assert "<b>" not in page
    assert "95 %" in page or "95.4" in page
    assert ">10<" in page  # the middle, in the units of the data
    for svg in re.findall(r"<svg.*?</svg>", page, re.DOTALL):
        ElementTree.fromstring(svg.replace("xlink:href", "href"))


def test_it_asks_for_nothing_outside_itself():
    page = render_traverse(record(), subject="data.h5", table_name="x.csv")
    assert not re.search(r"""(?:src|href)=["'](?:https?:)?//""", page)
    assert "<script" not in page


def test_a_column_that_does_not_move_is_not_drawn():
    still = render_traverse(record(), subject="data.h5", table_name="x.csv")
    assert "still" not in still
    nothing = record()
    nothing = Traverse(**{**vars(nothing), "values": nothing.values * 0, "swing": nothing.swing * 0})
    assert "It moves no column" in render_traverse(nothing, subject="data.h5", table_name="x.csv")


def test_samples_of_two_axes_are_images():
    pictures = record(columns=[f"p{i}" for i in range(12)], shape=(3, 1, 4))
    assert is_picture(pictures)
    figure = traverse_figure(pictures, 1)
    first, middle, last, difference = (axes.images[0].get_array() for axes in figure.axes)
    samples = pictures.values[1].reshape(5, 3, 4)
    np.testing.assert_array_equal(first, samples[0])
    np.testing.assert_array_equal(middle, samples[2])
    np.testing.assert_array_equal(last, samples[4])
    np.testing.assert_array_equal(difference, samples[4] - samples[0])
    assert "image" in render_traverse(pictures, subject="data.h5", table_name="x.csv")


def test_lines_are_changes_from_the_middle_in_standard_deviations():
    found = record()
    figure = traverse_figure(found, 0)
    strongest = found.strongest(0, 4)[0]
    line = next(each for each in figure.axes[0].get_lines() if len(each.get_xdata()) == 5)
    np.testing.assert_allclose(line.get_ydata(), (found.values[0, :, strongest] - 10) / 2.0)


def test_many_latents_are_cut_and_it_says_so():
    page = render_traverse(record(k=LATENTS_DRAWN + 2), subject="data.h5", table_name="x.csv")
    assert page.count("<svg") == LATENTS_DRAWN
    assert f"all {LATENTS_DRAWN + 2}" in page


def test_nothing_half_written_is_left(tmp_path):
    (tmp_path / "x.csv").mkdir()
    with pytest.raises(DataError, match="cannot be written"):
        write_traverse(record(), tmp_path / "x.html", tmp_path / "x.csv", subject="data.h5")
    assert {path.name for path in tmp_path.iterdir()} <= {"x.csv", "x.html"}
