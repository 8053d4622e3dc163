"""Recordings: known sources with the spectra, events and volatility that their recipes state."""

import h5py
import numpy as np
import pytest
from scipy import signal, stats

from datasets import recordings
from latentflow.data.tables import open_table

BANDS = {"alpha": (8, 12), "theta": (4, 7), "beta": (15, 30), "alpha2": (9, 13), "gamma": (30, 45)}


def of(recording, name):
    return recording.S[:, recording.sources.index(name)]


def share_of_power(series, low, high, rate):
    frequencies, power = signal.welch(series, rate, nperseg=min(len(series), 1024))
    return power[(frequencies >= low) & (frequencies <= high)].sum() / power.sum()


@pytest.mark.parametrize("kind", recordings.KINDS)
@pytest.mark.parametrize("channels", [2, 8, 16])
def test_sources_are_standardised_and_mixed_as_stated(kind, channels):
    found = recordings.draw(kind, 3000, channels, bends=0, seed=1)
    assert found.X.shape == found.S.shape == (3000, channels)
    assert len(set(found.sources)) == channels
    np.testing.assert_allclose(found.S.mean(0), 0, atol=1e-9)
    np.testing.assert_allclose(found.S.std(0), 1)
    left = found.X - found.mixing.forward(found.S)
    np.testing.assert_allclose(left.std(0), found.noise, rtol=0.1, atol=1e-12)
    assert np.linalg.cond(found.mixing.maps[0].A) <= recordings.LARGEST_CONDITION


@pytest.mark.parametrize("kind", recordings.KINDS)
@pytest.mark.parametrize("bends", [1, 2])
def test_bends_are_of_the_noisy_mixture_and_can_be_undone(kind, bends):
    straight, bent = (recordings.draw(kind, 500, 4, bends=b, seed=2) for b in (0, bends))
    np.testing.assert_array_equal(straight.S, bent.S)
    residual = bent.X - np.linalg.lstsq(bent.S, bent.X, rcond=None)[0].T.dot(bent.S.T).T
    assert residual.std() > 2 * straight.noise
    back = bent.mixing.inverse(bent.X) - bent.S
    assert np.abs(back).max() < 10 * straight.noise + 1e-9
    assert [type(m).__name__ for m in bent.mixing.maps] == ["Matrix"] + bends * ["LeakyRelu", "Matrix"]


@pytest.mark.parametrize("kind", recordings.KINDS)
def test_the_seed_decides_everything(kind):
    first, again, other = (recordings.draw(kind, 300, 3, seed=seed) for seed in (4, 4, 5))
    np.testing.assert_array_equal(first.X, again.X)
    assert not np.allclose(first.X, other.X)


class TestEEG:
    @pytest.mark.parametrize("rate", [128, 250, 500])
    def test_bands_hold_their_power_at_any_rate(self, rate):
        found = recordings.draw("eeg", 6000, rate=rate, seed=0)
        for name, (low, high) in BANDS.items():
            assert share_of_power(of(found, name), low - 1, high + 1, rate) > 0.95
        assert share_of_power(of(found, "mains"), 49, 51, rate) > 0.95
        assert share_of_power(of(found, "drift"), 0, 8, rate) > 0.9

    def test_alpha_alone_is_modulated(self):
        found = recordings.draw("eeg", 20_000, seed=0)
        depth = {}
        for name in BANDS:
            size = np.abs(signal.hilbert(of(found, name)))
            depth[name] = stats.kurtosis(of(found, name))
            assert size.min() >= 0
        assert depth["alpha"] > 1.5
        assert max(abs(v) for name, v in depth.items() if name != "alpha") < 0.6

    def test_nine_blinks_of_a_third_of_a_second_that_weigh_most_in_front(self):
        found = recordings.draw("eeg", seed=3)
        blink = of(found, "blink")
        on = blink > blink.min() + 1e-9
        starts = np.flatnonzero(on[1:] & ~on[:-1])
        assert len(starts) + on[0] == 9
        assert on.sum() == 9 * 80
        column = found.mixing.maps[0].A[:, found.sources.index("blink")]
        assert (np.diff(column) < 0).all()
        assert column[-1] > 0

    @pytest.mark.parametrize("channels", [16, 32])
    def test_more_channels_hold_more_bands_all_apart(self, channels):
        found = recordings.draw("eeg", 8000, channels, seed=0)
        centres = []
        for i in range(channels - 8):
            frequencies, power = signal.welch(of(found, f"band{i}"), 250, nperseg=2048)
            centres.append((frequencies * power).sum() / power.sum())
        assert (np.diff(centres) > 0).all()
        assert centres[0] > 1.5
        assert centres[-1] < 110

    def test_a_rate_too_low_for_a_band_is_refused(self):
        with pytest.raises(ValueError, match="a band of 30 to 45 Hz"):
            recordings.draw("eeg", 500, rate=80)


def test_hearts_beat_at_their_rates():
    found = recordings.draw("ecg", 15_000, seed=0)
    for name, beats in (("mother", 1.2), ("child", 2.3)):
        series = of(found, name)
        peaks, _ = signal.find_peaks(series, height=0.6 * series.max(), distance=50)
        assert len(peaks) / 60 == pytest.approx(beats, rel=0.1)
        assert stats.kurtosis(series) > 5
    assert share_of_power(of(found, "breathing"), 0, 1, 250) > 0.95


def test_speech_and_music_are_modulated_in_different_bands():
    found = recordings.draw("audio", 16_000, seed=0)
    for series in found.S.T:
        power = (series**2).reshape(-1, 400).mean(1)
        assert power.max() > 3 * np.median(power)
    spectra = [signal.welch(series, 8000)[1] for series in found.S.T]
    shares = np.array([power / power.sum() for power in spectra])
    overlap = [np.minimum(a, b).sum() for i, a in enumerate(shares) for b in shares[:i]]
    assert max(overlap) < 0.9


def test_the_climate_has_its_year_and_its_trend():
    found = recordings.draw("climate", 7300, seed=0)
    years = np.arange(7300) / 365
    for name, cycles in (("season", 1), ("half_year", 2)):
        waves = np.column_stack([f(2 * np.pi * cycles * years) for f in (np.sin, np.cos)])
        left = of(found, name) - waves @ np.linalg.lstsq(waves, of(found, name), rcond=None)[0]
        assert left.var() < 0.1
    assert np.corrcoef(years, of(found, "trend"))[0, 1] > 0.9
    lag1 = [np.corrcoef(of(found, f"red{i}")[1:], of(found, f"red{i}")[:-1])[0, 1] for i in range(4)]
    assert (np.diff(lag1) < 0).all()
    assert lag1[0] == pytest.approx(0.98, abs=0.02)


def test_returns_are_white_and_share_one_volatility():
    found = recordings.draw("returns", 20_000, seed=0)
    lag1 = [np.corrcoef(s[1:], s[:-1])[0, 1] for s in found.S.T]
    assert np.abs(lag1).max() < 0.05
    volatility = np.log(np.abs(found.S) + 1e-3)
    together = np.corrcoef(volatility.T) - np.eye(8)
    assert together[~np.eye(8, dtype=bool)].min() > 0.05
    assert (stats.kurtosis(found.S) > 1).all()


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"kind": "meg"}, "no recording is called 'meg'"),
        ({"rows": 99}, "100 rows"),
        ({"channels": 1}, "two channels"),
        ({"bends": 3}, "3"),
    ],
)
def test_what_cannot_be_drawn_is_refused(wrong, said):
    with pytest.raises(ValueError, match=said):
        recordings.draw(**{"kind": "eeg", **wrong})


def test_file(tmp_path, capsys):
    path = tmp_path / "eeg.h5"
    recordings.main(["eeg", str(path), "--rows", "500", "--channels", "3", "--bends", "1", "--seed", "7"])
    expected = recordings.draw("eeg", 500, 3, bends=1, seed=7)
    np.testing.assert_array_equal(open_table(path, key="X").read(), expected.X)
    with h5py.File(path) as file:
        np.testing.assert_array_equal(file["S"], expected.S)
        assert tuple(file.attrs["sources"]) == expected.sources
        assert file.attrs["rate"] == 250
    with pytest.raises(SystemExit):
        recordings.main(["nonsense", str(tmp_path / "x.h5")])
    assert "no recording is called 'nonsense'" in capsys.readouterr().err
    assert not (tmp_path / "x.h5").exists()
