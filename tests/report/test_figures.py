"""Figures are held against the numbers of the result that they draw."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from matplotlib._pylab_helpers import Gcf
from matplotlib.figure import Figure

from latentflow.analysis.results import Histogram, Interval
from latentflow.report import figures
from latentflow.report.drawing import CURVE_POINTS, curve, printable, short_names, thinned
from latentflow.report.scatter import framed

ALL = [
    figures.ledger_chart,
    figures.pairwise_maps,
    figures.quantile_plots,
    figures.training_curve,
    figures.round_trip_histogram,
    figures.pair_scatters,
    figures.overfit_chart,
]


def axis_texts(figure: Figure) -> str:
    return " | ".join(
        text for axes in figure.axes for text in (axes.get_xlabel(), axes.get_ylabel(), axes.get_title())
    )


def tick_texts(axis) -> list[str]:
    return [label.get_text() for label in axis.get_ticklabels()]


@pytest.mark.parametrize("draw", ALL)
@pytest.mark.parametrize("d", [1, 2, 30])
def test_every_figure_draws_and_none_is_left_with_pyplot(make_result, draw, d, tmp_path):
    figure = draw(make_result(d, n=300))
    assert isinstance(figure, Figure)
    figure.savefig(tmp_path / "figure.png")
    assert (tmp_path / "figure.png").stat().st_size > 1000
    assert Gcf.get_num_fig_managers() == 0


@pytest.mark.parametrize("draw", [figures.ledger_chart, figures.pairwise_maps, figures.overfit_chart])
def test_axes_say_nats(result, draw):
    assert "nats" in axis_texts(draw(result))


def test_ledger_bars_have_the_length_of_their_estimates_and_the_reach_of_their_intervals(result):
    axes = figures.ledger_chart(result).axes[0]
    entries = result.ledger.entries
    assert [bar.get_width() for bar in axes.patches] == pytest.approx([e.removed.estimate for e in entries])
    (reach,) = [lines for lines in axes.collections if len(lines.get_segments()) == len(entries) - 1]
    ends = [(segment[0, 0], segment[1, 0]) for segment in reach.get_segments()]
    assert np.array(ends) == pytest.approx(np.array([(e.removed.low, e.removed.high) for e in entries[1:]]))
    labels = tick_texts(axes.yaxis)
    assert labels[0].endswith("reference")
    assert labels[-1] == "Latents\n8.33 [8.14, 8.52]"
    assert axes.yaxis_inverted()  # the raw columns stand on top


def test_ledger_draws_an_interval_that_does_not_hold_its_estimate(result):
    entries = list(result.ledger.entries)
    entries[1] = replace(entries[1], removed=Interval(-0.5, -0.4, -0.3))
    ledger = replace(result.ledger, entries=tuple(entries))
    figure = figures.ledger_chart(replace(result, ledger=ledger))
    assert figure.axes[0].get_xlim()[0] <= -0.5


def test_maps_share_one_scale_and_hold_the_matrices(result):
    figure = figures.pairwise_maps(result)
    images = [axes.images[0] for axes in figure.axes if axes.images]
    top = max(result.pairwise[name].max_nats for name in figures.MAPS)
    for image, name in zip(images[: len(figures.MAPS)], figures.MAPS, strict=True):
        assert (image.norm.vmin, image.norm.vmax) == (0.0, pytest.approx(top))
        off = ~np.eye(4, dtype=bool)
        np.testing.assert_allclose(np.asarray(image.get_array())[off], result.pairwise[name].nats[off])


def test_single_maps_have_the_scale_and_the_square_of_all(make_result):
    result = make_result(4, columns=("a", "a very long name of a column", "c", "d"))
    panels = [figures.pairwise_map(result, name).axes[0] for name in figures.MAPS]
    assert len({panel.images[0].norm.vmax for panel in panels}) == 1
    size = [panel.get_position().width * panel.figure.get_figwidth() for panel in panels]
    left = [panel.get_position().x0 for panel in panels]
    assert size == pytest.approx([size[0]] * 3)
    assert left == pytest.approx([left[0]] * 3)


def test_nearly_independent_columns_do_not_light_up_the_scale(result):
    latents = replace(result.pairwise["latents"], nats=np.zeros((4, 4)), max_nats=0.0)
    figure = figures.pairwise_map(replace(result, pairwise={"latents": latents}), "latents")
    assert figure.axes[0].images[0].norm.vmax == figures.FLOOR_NATS


def test_colour_bar_ticks_are_apart_and_reach_from_zero_to_the_top(result):
    for top in (0.011, 0.04, 0.25, 1.3, 9.0):
        raw = replace(result.pairwise["raw"], max_nats=top)
        bar = figures.pairwise_map(replace(result, pairwise={"raw": raw}), "raw").axes[1]
        ticks = np.sort(bar.get_yticks())
        assert ticks[0] == 0.0
        assert ticks[-1] == pytest.approx(top)
        assert 3 <= ticks.size <= 7
        assert np.diff(np.sqrt(ticks)).min() > 0.1 * np.sqrt(top)


def test_cells_carry_values_where_few_and_names_where_readable(make_result):
    small = figures.pairwise_map(make_result(4), "raw").axes[0]
    assert len(small.texts) == 12
    assert len(tick_texts(small.xaxis)) == 4
    middle = figures.pairwise_map(make_result(20, n=300), "raw").axes[0]
    assert not middle.texts
    assert len(tick_texts(middle.xaxis)) == 20
    large = figures.pairwise_map(make_result(64, n=300), "raw").axes[0]
    assert not tick_texts(large.xaxis)
    assert large.get_xlabel() == "64 columns"


def test_quantile_panel_draws_the_quantiles(result):
    axes = figures.quantile_plot(result, 2).axes[0]
    points = axes.lines[-1]
    np.testing.assert_allclose(points.get_xdata(), result.gaussianity.normal_quantiles)
    np.testing.assert_allclose(points.get_ydata(), result.gaussianity.quantiles[2])


def test_worst_latents_are_those_farthest_from_normal(make_result):
    result = make_result(16, n=300)
    worst = figures.worst_latents(result, 3)
    statistic = [latent.anderson_darling for latent in result.gaussianity.latents]
    assert worst == list(np.argsort(statistic)[::-1][:3])
    assert figures.worst_latents(result, 16) == list(range(16))
    titles = [axes.get_title() for axes in figures.quantile_plots(result, 3).axes if axes.get_visible()]
    assert titles == [result.latent_names[index] for index in worst]


def test_training_curve_leaves_out_what_was_not_measured(result):
    steps, losses = curve(result.history, "validation_loss")
    assert steps.tolist() == list(range(200, 6001, 200))
    axes = figures.training_curve(result).axes[0]
    drawn = {line.get_label(): line for line in axes.lines}
    np.testing.assert_allclose(drawn["validation"].get_ydata(), losses)
    assert drawn["best"].get_ydata() == [losses.min()]


def test_curve_survives_history_without_steps_or_with_nothing():
    steps, losses = curve({"train_loss": [3.0, float("nan"), 1.0]}, "train_loss")
    assert steps.tolist() == [1.0, 3.0]
    assert losses.tolist() == [3.0, 1.0]
    assert curve({}, "train_loss")[1].size == 0


def test_long_curves_are_averaged_not_sampled():
    steps = np.arange(10_001.0)
    thin_steps, thin = thinned(steps, 2.0 * steps)
    assert thin.size <= CURVE_POINTS
    np.testing.assert_allclose(thin, 2.0 * thin_steps)
    assert thinned(steps[:5], steps[:5])[0].tolist() == steps[:5].tolist()


def test_round_trip_histogram_counts_every_row(result):
    axes = figures.round_trip_histogram(result).axes[0]
    assert sum(bar.get_height() for bar in axes.patches) == result.round_trip.n
    assert "exact" in tick_texts(axes.xaxis)


@pytest.mark.parametrize(
    "histogram",
    [
        Histogram(np.array([]), np.array([], dtype=int), 7),
        Histogram(np.linspace(-9.0, -8.0, 5), np.zeros(4, dtype=int), 7),
    ],
)
def test_round_trip_histogram_of_rows_that_are_all_exact(result, histogram):
    trip = replace(result.round_trip, histogram=histogram, n=7)
    axes = figures.round_trip_histogram(replace(result, round_trip=trip)).axes[0]
    assert [bar.get_height() for bar in axes.patches] == [7]
    assert tick_texts(axes.xaxis) == ["exact"]


def points_of(axes) -> np.ndarray:
    """The points of a scatter panel, from the strokes that draw them."""
    (dots,) = axes.patches
    return dots.get_path().vertices[::2]


def test_scatter_shows_the_worst_pairs_in_their_units(result):
    for name in figures.MAPS:
        for rank, (i, j) in enumerate(result.pairwise[name].strongest()):
            axes = figures.pair_scatter(result, name, rank).axes[0]
            sample = result.samples[name][:, [i, j]]
            np.testing.assert_allclose(points_of(axes), sample)
            assert axes.get_xlim()[0] < sample[:, 0].min()
            assert axes.get_ylim()[1] > sample[:, 1].max()
            assert (axes.get_xlabel(), axes.get_ylabel()) == tuple(
                result.pairwise[name].columns[index] for index in (i, j)
            )
        assert result.pairwise[name].strongest()[0] == result.pairwise[name].max_pair


def test_scatter_keeps_far_points_on_the_edge_and_near_ones_apart(result):
    i, j = result.pairwise["raw"].max_pair
    far = result.samples["raw"].copy()
    far[0, i] = 1e9
    axes = figures.pair_scatter(replace(result, samples={"raw": far}), "raw").axes[0]
    points = points_of(axes)
    assert points.shape == (len(far), 2)
    inner = np.quantile(far[:, i], [0.01, 0.99])
    left, right = axes.get_xlim()
    assert right - left < 4 * (inner[1] - inner[0])
    assert points[:, 0].max() == points[0, 0] < right
    np.testing.assert_allclose(points[1:, 1], far[1:, j])


def test_scatter_of_a_column_that_hardly_varies():
    for values in (np.zeros(50), np.full(50, 3e9), np.append(np.zeros(99), 1.0)):
        low, high, drawn = framed(values)
        assert np.isfinite([low, high]).all()
        assert low < drawn.min() <= drawn.max() < high


def test_grid_of_scatters_has_a_column_per_representation(result):
    axes = figures.pair_scatters(result).axes
    assert len(axes) == 6
    assert [panel.get_title().partition(":")[0] for panel in axes[:3]] == [
        "Raw columns",
        "FastICA",
        "Latents",
    ]
    with pytest.raises(KeyError):
        figures.pair_scatter(replace(result, samples={}), "raw")
    figures.pair_scatters(replace(result, samples={})).draw_without_rendering()


def test_maps_of_magnitudes_share_one_scale_about_zero(result):
    images = [figures.magnitude_map(result, name).axes[0].images[0] for name in figures.MAPS]
    top = max(result.magnitudes[name].max_abs for name in figures.MAPS)
    for image, name in zip(images, figures.MAPS, strict=True):
        assert (image.norm.vmin, image.norm.vmax) == pytest.approx((-top, top))
        off = ~np.eye(4, dtype=bool)
        drawn = np.asarray(image.get_array())
        np.testing.assert_allclose(drawn[off], result.magnitudes[name].correlation[off])


def test_over_fit_chart_sets_training_and_held_out_side_by_side(result):
    axes = figures.overfit_chart(result).axes[0]
    bars = [line.get_xdata() for line in axes.lines if len(line.get_xdata()) == 2]
    for bar, interval in zip(bars, (result.neg_log_prob_train, result.neg_log_prob), strict=True):
        assert list(bar) == [interval.low, interval.high]
    assert tick_texts(axes.yaxis)[1].startswith("held-out rows")
    alone = figures.overfit_chart(replace(result, neg_log_prob_train=None)).axes[0]
    assert len(alone.lines) == 2


def test_names_with_dollars_and_control_characters_are_drawn_as_they_are(make_result, tmp_path):
    result = make_result(3, columns=("cost $x_{$", "a\x00b\nc", "50 % & <b>"))
    figure = figures.pairwise_maps(result)
    figure.savefig(tmp_path / "figure.svg")
    assert tick_texts(figure.axes[0].xaxis) == ["cost $x_{$", "a b c", "50 % & <b>"]


def test_short_names_stay_different():
    names = [f"Turbine sensor number {index}" for index in range(12)]
    assert len(set(short_names(names))) == 12
    same_ends = [f"Turbine {index} exhaust pressure" for index in range(12)]
    assert len(set(short_names(same_ends))) == 12
    both = [f"Turbine sensor number {index} exhaust pressure" for index in range(12)]
    assert len(set(short_names(both))) == 12
    assert max(map(len, short_names(both))) <= 14
    assert short_names(["a", "b"]) == ["a", "b"]


def test_printable_cuts_to_the_limit():
    assert printable("abcdef", 4) == "abc…"
    assert printable("ab\tc") == "ab c"
