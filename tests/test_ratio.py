"""The density ratio: cross-fitting, interpolation, scaling, and truth on Gaussian features."""

import copy
import json
from dataclasses import replace

import numpy as np
import pytest
import torch
from conftest import blobs
from safetensors.torch import load_file, save_file

from tiw.debiasing.strength import gap_closed
from tiw.errors import UserInputError
from tiw.model.correction import correction_at
from tiw.model.denoiser import Denoiser
from tiw.model.networks import PRESETS
from tiw.ratio.density_ratio import DensityRatio, fit_density_ratio, fit_to_features, whitening
from tiw.ratio.features import PixelEncoder, RatioConfig, RatioFeatures, features_at

CONFIG = RatioConfig(sigmas=(0.1, 0.5, 2.0), folds=4, components=20, biased_images=200, reference_draws=2)


@pytest.fixture(scope="module")
def fitted(blob_sets):
    torch.manual_seed(0)
    return fit_density_ratio(*blob_sets, Denoiser.new(PRESETS["tiny"]).eval(), CONFIG)


def some(blob_sets, n=6):
    x = torch.from_numpy(blob_sets[0].images[:n]).permute(0, 3, 1, 2).float() / 127.5 - 1
    return x, torch.full((n,), 0.5)


def test_recovers_the_ratio_of_two_gaussians():
    """Features N(0, I) against N(mu, I): log r = mu . x - |mu|^2 / 2."""
    generator = torch.Generator().manual_seed(0)
    mu = torch.zeros(12)
    mu[:2] = torch.tensor([0.8, -0.5])
    biased, reference = torch.randn(1, 2000, 12, generator=generator), mu + torch.randn(1, 1, 2000, 12, generator=generator)
    config = RatioConfig(sigmas=(1.0,), components=12)
    ratio = fit_to_features(RatioFeatures(np.arange(2000), biased, reference, 2000), None_denoiser(), config)
    truth = (biased[0] @ mu - mu @ mu / 2).numpy()
    slope, intercept = np.polyfit(truth, ratio.log_ratio_biased[0], 1)
    assert abs(slope - 1) < 0.12 and abs(intercept) < 0.1
    assert np.corrcoef(truth, ratio.log_ratio_biased[0])[0, 1] > 0.98


def None_denoiser():  # noqa: N802
    """Fitting to features needs a denoiser's device only."""

    class Nobody:
        device = torch.device("cpu")

    return Nobody()


def test_bright_images_get_the_higher_ratio_and_held_out_is_worse_than_train(fitted, blob_sets):
    bright = (blob_sets[0].attributes["light"] == "bright").to_numpy()[fitted.scored]
    for level in range(2):
        assert fitted.log_ratio_biased[level][bright].mean() - fitted.log_ratio_biased[level][~bright].mean() > 0.5
        held_out = (np.logaddexp(0, fitted.log_ratio_biased[level]).mean() + np.logaddexp(0, -fitted.log_ratio_reference[level]).mean()) / 2
        assert fitted.train_cross_entropy[level] < held_out < np.log(2)


def test_held_out_rows_are_scored_by_the_fold_that_did_not_see_them(fitted, blob_sets):
    x, sigma = some(blob_sets)
    features = fitted.denoiser.features(x, sigma)
    items = torch.tensor([*fitted.scored[:3], *range(300, 303)])
    found = fitted.held_out(items).from_features(features, sigma)
    for row, item in enumerate(items):
        alone = fitted.of_fold(int(fitted.folds[item])).from_features(features, sigma)
        torch.testing.assert_close(found[row], alone[row])
    unseen = next(i for i in range(300) if i not in set(fitted.scored))
    everyone = fitted.held_out(torch.full((6,), unseen)).from_features(features, sigma)
    torch.testing.assert_close(everyone, fitted.from_features(features, sigma))
    assert not torch.allclose(found, everyone)


def test_the_recorded_scores_are_those_of_the_held_out_callable(fitted, blob_sets):
    rows = fitted.scored[:5]
    features = features_at(fitted.denoiser, blob_sets[0].images[rows], rows, [fitted.sigmas[1]], CONFIG.seed)[0, 0]
    again = fitted.held_out(rows).from_features(features, torch.full((5,), float(fitted.sigmas[1])))
    np.testing.assert_allclose(again.numpy(), fitted.log_ratio_biased[1][:5], atol=2e-3)


def test_interpolation_is_linear_in_log_sigma_and_flat_outside(fitted, blob_sets):
    x, _ = some(blob_sets, 1)
    features = fitted.denoiser.features(x, torch.tensor([0.5]))
    at = lambda s: float(fitted.from_features(features, torch.tensor([s])))  # noqa: E731
    middle = float(np.sqrt(0.1 * 0.5))
    assert abs(at(middle) - (at(0.1) + at(0.5)) / 2) < 1e-4
    assert abs(at(0.001) - at(0.1)) < 1e-5 and abs(at(50.0) - at(2.0)) < 1e-5
    own = fitted.head(features).mean(2)[0]  # [L], every level's own
    assert [at(float(sigma)) for sigma in fitted.sigmas] == pytest.approx(own.tolist(), abs=1e-5)


def test_a_ratio_of_one_level_is_that_levels_at_every_noise(blob_sets):
    """It could be fitted, and ended in an error when it was called."""
    encoder = PixelEncoder()
    one = fit_density_ratio(*blob_sets, encoder, replace(CONFIG, sigmas=(0.5,)))
    x, _ = some(blob_sets)
    for sigma in (0.01, 0.5, 20.0):
        level = torch.full((len(x),), sigma)
        torch.testing.assert_close(one(x, level), one.head(encoder.features(x, level))[:, 0].mean(1))


def test_scaling_keeps_the_normalisation(fitted):
    for strength in (0.0, 0.7, 2.0):
        scaled = fitted.scaled(strength)
        means = np.exp(strength * fitted.log_ratio_biased + scaled.offsets.numpy()[:, None]).mean(1)
        np.testing.assert_allclose(means, 1, rtol=1e-4)


def test_a_shared_pass_gives_the_same_as_two(fitted, blob_sets):
    x, sigma = some(blob_sets)
    apart = correction_at(fitted, x, sigma)
    both = fitted.shared_pass()
    shared = correction_at(both.log_ratio, x, sigma)
    torch.testing.assert_close(shared.log_r, apart.log_r)
    torch.testing.assert_close(shared.gradient, apart.gradient)
    torch.testing.assert_close(both.denoiser(x, sigma), fitted.denoiser(x, sigma))


def test_saving_and_loading_changes_nothing(fitted, blob_sets, tmp_path):
    fitted.save(tmp_path)
    again = DensityRatio.load(tmp_path, fitted.denoiser)
    x, sigma = some(blob_sets)
    assert torch.equal(again.scaled(1.5)(x, sigma), fitted.scaled(1.5)(x, sigma))
    assert np.array_equal(again.log_ratio_reference, fitted.log_ratio_reference)


def test_a_ratio_is_only_read_with_the_weights_it_was_fitted_with(fitted, tmp_path):
    """One weight of another size makes another model; one that comes from another file, on other strides, is the same."""
    fitted.save(tmp_path)
    fitted.denoiser.save_pretrained(tmp_path / "model")
    assert DensityRatio.load(tmp_path, Denoiser.from_pretrained(tmp_path / "model").prepare("cpu")).about == fitted.about
    other = copy.deepcopy(fitted.denoiser)
    with torch.no_grad():
        next(other.parameters()).flatten()[0] += 1e-3
    with pytest.raises(UserInputError, match=r"other weights than when .* was fitted"):
        DensityRatio.load(tmp_path, other)
    about = json.loads((tmp_path / "ratio.json").read_text())
    del about["weights"]  # as ratios were kept before
    (tmp_path / "ratio.json").write_text(json.dumps(about))
    assert DensityRatio.load(tmp_path, other).about == fitted.about


def test_a_ratio_kept_before_there_were_classes_counts_the_images_of_its_folds(fitted, tmp_path):
    fitted.save(tmp_path)
    kept = load_file(tmp_path / "ratio.safetensors")
    del kept["gap_counts"]
    save_file(kept, tmp_path / "ratio.safetensors")
    again = DensityRatio.load(tmp_path, fitted.denoiser)
    assert again.gap_counts.sum() == len(again.scored) and torch.allclose(again.gap_counts, fitted.gap_counts)


def test_a_save_that_is_cut_short_leaves_the_ratio_that_was_there(fitted, tmp_path, monkeypatch):
    fitted.save(tmp_path)
    before = (tmp_path / "ratio.json").read_bytes()
    monkeypatch.setattr("pathlib.Path.replace", lambda *_: (_ for _ in ()).throw(OSError(28, "No space left on device")))
    with pytest.raises(OSError, match="No space"):
        replace(fitted, about={**fitted.about, "estimator": "other"}).save(tmp_path)
    assert (tmp_path / "ratio.json").read_bytes() == before
    assert DensityRatio.load(tmp_path, fitted.denoiser).about == fitted.about


def test_gap_is_nought_for_the_biased_set_and_one_for_new_reference_images(fitted):
    readings = []
    for images, truth in ((blobs(400, 0.2, 7), 0.0), (blobs(400, 0.4, 9), 0.5), (blobs(400, 0.6, 8), 1.0)):
        found = gap_closed(fitted, images.images)
        assert found.interval[0] < truth < found.interval[1] and abs(found.value - truth) < 0.2
        readings.append(found.value)
    assert readings == sorted(readings)


def test_the_fit_is_deterministic(fitted, blob_sets):
    again = fit_density_ratio(*blob_sets, fitted.denoiser, CONFIG)
    assert torch.equal(again.head.weights, fitted.head.weights)
    other = fit_density_ratio(*blob_sets, fitted.denoiser, replace(CONFIG, seed=1))
    assert not torch.equal(other.head.weights, fitted.head.weights)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("estimator", "linear"),
        ("folds", 1),
        ("components", 0),
        ("biased_images", 0),
        ("reference_draws", 0),
        ("batch_size", 0),
        ("sigmas", ()),
        ("sigmas", (0.5, 0.1)),
        ("sigmas", (0.0, 1.0)),
        ("ridges", ()),
    ],
)
def test_a_wrong_field_of_the_ratio_is_named_before_any_work(field, value):
    with pytest.raises(UserInputError) as error:
        RatioConfig(**{field: value})
    assert error.value.field == field


def test_the_gap_is_measured_in_components_of_unit_variance():
    generator = torch.Generator().manual_seed(0)
    rows = 3 + torch.randn(400, 8, generator=generator) @ torch.randn(8, 8, generator=generator)
    torch.testing.assert_close((rows @ whitening(rows, 0)).T.cov(), torch.eye(8), atol=1e-4, rtol=0)
