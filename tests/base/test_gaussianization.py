"""Layers of linear ICA: a proper density, and a way to the sources behind a few bends."""

import math

import numpy as np
import pytest
import torch
from scipy.optimize import linear_sum_assignment
from scipy.stats import spearmanr

from datasets.orientation import draw
from latentflow.base import gaussianization
from latentflow.base.fastica import ica_axes
from latentflow.base.gaussianization import GaussianizationFlow, Start, fit_gaussianization


def shaken(module, seed=0, by=0.7):
    """The module in double precision, all of its parameters moved."""
    generator = torch.Generator().manual_seed(seed)
    module = module.double()
    with torch.no_grad():
        for parameter in module.parameters():
            parameter += by * torch.randn(parameter.shape, generator=generator, dtype=torch.float64)
    return module


def test_log_det_is_that_of_the_derivative():
    rng = np.random.default_rng(0)
    starts = [Start(name, tuple(rng.normal(size=(3, 3)) for _ in range(3))) for name in "ab"]
    flow = shaken(GaussianizationFlow(starts))
    rows = torch.tensor(rng.normal(size=(20, 3)))
    jacobians = torch.stack(
        [torch.autograd.functional.jacobian(lambda x: flow(x[None])[0][:, :, 0], row) for row in rows]
    )
    torch.testing.assert_close(flow(rows)[2], torch.linalg.slogdet(jacobians)[1].T, atol=1e-9, rtol=0)


def test_its_density_integrates_to_one():
    flow = shaken(GaussianizationFlow([Start("", (np.array([[0.9, 0.5], [-0.3, 1.1]]), np.eye(2)))]), by=0.4)
    axis = torch.linspace(-14, 14, 561, dtype=torch.float64)
    grid = torch.cartesian_prod(axis, axis)
    with torch.no_grad():
        total = flow.log_prob(grid).exp().sum() * (axis[1] - axis[0]) ** 2
    assert float(total) == pytest.approx(1, abs=1e-3)


def test_components_are_what_the_last_bend_takes():
    flow = shaken(GaussianizationFlow([Start("", (np.eye(2), np.array([[1.0, 0.2], [0.0, 1.0]])))]))
    rows = torch.tensor(np.random.default_rng(1).normal(size=(9, 2)))
    latents, before, _ = flow(rows)
    torch.testing.assert_close(flow.transforms[-1](before)[0], latents)
    first = flow.transforms[0]((rows @ flow.matrices[0][0]).T[None])[0]
    torch.testing.assert_close(flow.matrices[1][0].T @ first[0], before[0])


def mcc(values, sources):
    """Mean |Spearman| correlation of the sources with the coordinates matched to them."""
    d = sources.shape[1]
    correlation = np.abs(spearmanr(values, sources).statistic[:d, d:])
    return correlation[linear_sum_assignment(-correlation)].mean()


def test_two_layers_undo_what_linear_ica_cannot(monkeypatch):
    """Two rotations with a leaky ReLU between them; the start knows the last rotation nearly."""
    monkeypatch.setattr(gaussianization, "STAGES", ((3, 200), (2, 400)))
    mixture = draw("lrelu2", 6000, 3, 3)
    last = mixture.mixing.maps[-1].A
    whitened = mixture.X - mixture.X.mean(0)
    values, vectors = np.linalg.eigh(np.cov(whitened.T))
    whitener = vectors / np.sqrt(values)
    x = whitened @ whitener
    first = np.linalg.solve(whitener, last)
    rotation = ica_axes(x, 0).rotation
    train, new = x[500:], x[:500]
    turned = np.linalg.qr(np.random.default_rng(0).normal(size=(3, 3)))[0]
    starts = [
        Start("linear", (rotation, np.eye(3))),
        Start("bad", (turned, turned.T @ rotation)),
        Start("good", (first, np.linalg.solve(first, rotation))),
    ]
    fits = fit_gaussianization(train, new, starts, seed=0)
    assert len(fits) == 2
    assert fits[0].start == "good"
    assert fits[0].log_prob.mean() > fits[1].log_prob.mean()
    assert fits[0].log_prob.shape == (500,)
    assert mcc(x @ rotation, mixture.S) < 0.95
    assert mcc(fits[0].components(x), mixture.S) > 0.97


def test_one_layer_is_linear_ica_with_the_right_density(monkeypatch):
    """Of Laplace sources the likelihood is that of the truth, and beats a normal law's."""
    monkeypatch.setattr(gaussianization, "STAGES", ((9, 10_000), (1, 500)))  # the first is not for one start
    rng = np.random.default_rng(2)
    sources = rng.laplace(scale=math.sqrt(0.5), size=(6000, 2))
    axes = np.linalg.qr(rng.normal(size=(2, 2)))[0]
    x = sources @ axes.T
    fits = fit_gaussianization(x[1000:], x[:1000], [Start("linear", (ica_axes(x, 0).rotation,))], seed=0)
    assert len(fits) == 1
    truth = (-math.sqrt(2) * np.abs(sources[:1000]) - 0.5 * math.log(2)).sum(1)
    normal = -0.5 * (x[:1000] ** 2).sum(1) - math.log(2 * math.pi)
    assert abs((fits[0].log_prob - truth).mean()) < 0.03
    assert (fits[0].log_prob - normal).mean() > 0.1
    latents = fits[0].latents(x)
    np.testing.assert_allclose(np.cov(latents.T), np.eye(2), atol=0.1)
    assert mcc(fits[0].components(x), sources) > 0.995


def test_a_start_that_comes_to_nothing_is_the_last(monkeypatch):
    monkeypatch.setattr(gaussianization, "STAGES", ((3, 3), (2, 3)))
    x = np.random.default_rng(3).normal(size=(300, 2))
    starts = [Start("broken", (np.full((2, 2), np.nan),)), Start("fine", (np.eye(2),))]
    fits = fit_gaussianization(x[50:], x[:50], starts, seed=0)
    assert [fit.start for fit in fits] == ["fine", "broken"]
    assert np.isfinite(fits[0].log_prob).all()
    monkeypatch.setattr(gaussianization, "STAGES", ((3, 3), (1, 3)))
    assert [fit.start for fit in fit_gaussianization(x[50:], x[:50], starts, seed=0)] == ["fine"]


def test_the_seed_decides(monkeypatch):
    monkeypatch.setattr(gaussianization, "STAGES", ((3, 5), (2, 5)))
    x = np.random.default_rng(4).laplace(size=(700, 2))
    first, second, other = (
        fit_gaussianization(x[50:], x[:50], [Start("a", (np.eye(2),))], seed)[0].latents(x)
        for seed in (1, 1, 2)
    )
    np.testing.assert_array_equal(first, second)
    assert np.abs(first - other).max() > 1e-3


def test_starts_side_by_side_do_not_meet(monkeypatch):
    """Each goes where it goes alone on the same rows, whatever is beside it."""
    monkeypatch.setattr(gaussianization, "STAGES", ((2, 12), (2, 7)))
    x = np.random.default_rng(5).laplace(size=(700, 2))
    one, other = Start("one", (np.eye(2),)), Start("other", (np.array([[1.0, 5.0], [-5.0, 1.0]]),))
    pairs = [fit_gaussianization(x[50:], x[:50], pair, 0) for pair in ([one, one], [one, other])]
    found = [next(fit for fit in pair if fit.start == "one") for pair in pairs]
    np.testing.assert_allclose(found[0].latents(x), found[1].latents(x), atol=1e-4)
