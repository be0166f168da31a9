"""How many images at once: what a pass takes, what is free, and results that do not depend on it; how long an audit takes."""

import numpy as np
import pytest
import torch
from conftest import blobs

from tiw.debiasing import baseline_check, lagging, strength
from tiw.debiasing.config import DebiasConfig
from tiw.debiasing.fine_tune import debias
from tiw.model import memory
from tiw.model.denoiser import Denoiser
from tiw.model.memory import batch_for, thinned
from tiw.model.networks import PRESETS
from tiw.model.sampling import sample
from tiw.ratio.density_ratio import fit_to_features
from tiw.ratio.features import PixelEncoder, RatioConfig, features_at, levels, passes, ratio_features
from tiw.run import forecast, inputs, train_in_folder
from tiw.run.folder import RunFolder
from tiw.run.options import AuditOptions, CompareOptions, DebiasOptions, PreviewOptions, validate
from tiw.sentences import about_time

CONFIG = RatioConfig(sigmas=(0.1, 1.0), folds=3, components=20, biased_images=100, reference_draws=1)


def test_the_batch_follows_the_network_and_the_free_memory(tiny_denoiser, monkeypatch):
    def with_free(megabytes, **how):
        monkeypatch.setattr(memory, "free_bytes", lambda device: int(megabytes * 1e6))
        return batch_for(tiny_denoiser, 128, **how)

    assert with_free(1e6) == 128 and with_free(0.001) == 1
    some = [with_free(m) for m in (5, 10, 20)]
    assert some[0] > 1 and some[2] == pytest.approx(4 * some[0], rel=0.1)
    assert with_free(10, gradients=True) < with_free(10)
    assert batch_for(PixelEncoder(), 64) == 64 and batch_for(tiny_denoiser, 0) == 1


def test_a_larger_image_takes_more_in_proportion_to_its_pixels():
    from diffusers import UNet2DModel

    from tiw.model.denoiser import DenoiserConfig

    def taken(side):
        blocks = {"down_block_types": ("DownBlock2D",) * 2, "up_block_types": ("UpBlock2D",) * 2, "block_out_channels": (8, 8)}
        return memory._bytes_of_outputs(Denoiser(UNet2DModel(side, layers_per_block=1, norm_num_groups=4, **blocks), DenoiserConfig()))

    assert taken(64) == pytest.approx(4 * taken(32), rel=0.02)


def test_large_images_come_in_small_batches_on_a_cpu(tiny_denoiser, monkeypatch):
    """A batch of 64 images of 256 pixels would take minutes, in which nothing is said and nobody can stop it."""
    monkeypatch.setattr(memory, "free_bytes", lambda device: 1 << 50)
    sizes = {}
    for side in (16, 64, 128, 256, 1024):
        monkeypatch.setattr(Denoiser, "shape", (3, side, side))
        sizes[side] = batch_for(tiny_denoiser, 64)
    assert sizes == {16: 64, 64: 64, 128: 16, 256: 4, 1024: 1}
    monkeypatch.setattr(Denoiser, "device", torch.device("cuda"))
    assert batch_for(tiny_denoiser, 64) == 64


def test_a_stage_is_shown_before_its_first_batch(tmp_path):
    run = RunFolder.create(tmp_path / "run", "audit", AuditOptions())
    inputs.report_of(run, "Looking for what lags", 40)
    status = run.status()
    assert (status["stage"], status["done"], status["total"]) == ("Looking for what lags", 0, 40)


def test_counting_leaves_the_network_and_the_random_numbers_as_they_were(tiny_denoiser):
    tiny_denoiser.train()
    state = torch.get_rng_state()
    batch_for(tiny_denoiser, 8)
    assert torch.equal(torch.get_rng_state(), state) and tiny_denoiser.training
    assert not any(part._forward_hooks for part in tiny_denoiser.unet.down_blocks.modules())


@pytest.fixture
def only(monkeypatch):
    """A machine that holds so many images at once."""

    def limit(n):
        for where in ("tiw.model.sampling", "tiw.ratio.features", "tiw.debiasing.fine_tune"):
            monkeypatch.setattr(f"{where}.batch_for", lambda model, wanted, gradients=False: min(n, wanted))

    return limit


def test_features_and_samples_do_not_depend_on_the_batch(tiny_denoiser, blob_sets, only):
    found = []
    for n in (64, 3):
        only(n)
        features = features_at(tiny_denoiser, blob_sets[0].images[:10], np.arange(10), (0.1, 1.0), 0)
        found.append((features, sample(tiny_denoiser, range(5), steps=3, antithetic=True)))
    torch.testing.assert_close(found[0][0], found[1][0], atol=1e-4, rtol=1e-4)
    assert found[0][1].shape == (10, 16, 16, 3) and np.abs(found[0][1].astype(int) - found[1][1]).max() <= 1


def test_training_in_parts_is_training_in_one(blob_sets, only):
    torch.manual_seed(0)
    denoiser = Denoiser.new(PRESETS["tiny"]).requires_grad_(False).eval()
    ratio = fit_to_features(ratio_features(*blob_sets, denoiser, CONFIG), denoiser, CONFIG)
    for objective in ("tiw-dsm", "iw-dsm", "dsm-obs"):
        found = []
        for n in (12, 5, 1):
            only(n)
            config = DebiasConfig(objective, steps=3, batch_size=12, learning_rate=1e-3)
            found.append([(step.loss, step.largest_weight) for step in debias(denoiser, *blob_sets, ratio, config)])
        for other in found[1:]:
            np.testing.assert_allclose(np.array(other, float), np.array(found[0], float), rtol=2e-3)


def test_checks_of_large_images_take_fewer_of_them():
    assert thinned(480, (3, 64, 64), 80) == 480 and thinned(480, (3, 32, 32), 80) == 480
    assert thinned(480, (3, 128, 128), 80) == 120 and thinned(480, (3, 256, 256), 80) == 80 and thinned(20, (3, 256, 256), 80) == 20


def test_fewer_levels_keep_both_ends():
    assert levels(8) == RatioConfig().sigmas and levels(2) == (0.03, 20.0)
    assert [len(levels(k)) for k in range(2, 9)] == list(range(2, 9))
    with pytest.raises(Exception, match=r"levels.*2 to 8"):
        validate("audit", AuditOptions(levels=1))


def test_what_will_take_hours_is_said_with_the_ways_to_shorten_it(tiny_denoiser, tmp_path, monkeypatch, capsys):
    clock = iter(np.arange(0, 1000, 5.0))  # 5 seconds an image
    monkeypatch.setattr(forecast.time, "monotonic", lambda: next(clock))
    biased, reference, o = blobs(3000, 0.2, 0), blobs(80, 0.6, 1), AuditOptions()
    run = RunFolder.create(tmp_path / "run", "audit", o)
    found = forecast.forecast(run, o, biased, reference, tiny_denoiser, RatioConfig())
    assert passes(3000, 80, RatioConfig()) == 8 * (2000 + 3 * 80)
    assert found.encoding == pytest.approx(8 * 2240 * 5) and found.rest == pytest.approx(8 * 1000 * 5) and found.long
    said = capsys.readouterr().err
    assert "about 25 hours" in said and "--levels 4 --scored 500" in said and about_time(4 * 740 * 5) in said
    assert "--no-score-all" in said and "about 25 hours" in run.status()["stage"]


def test_what_takes_minutes_is_not_worth_a_word(tiny_denoiser, tmp_path, capsys):
    o = AuditOptions(scored=50)
    run = RunFolder.create(tmp_path / "run", "audit", o)
    found = forecast.forecast(run, o, blobs(60, 0.2, 0), blobs(40, 0.6, 1), tiny_denoiser, RatioConfig())
    assert not found.long and found.strength < 3600 and not capsys.readouterr().err
    assert forecast.forecast(run, o, blobs(60, 0.2, 0), blobs(40, 0.6, 1), PixelEncoder(), RatioConfig()).encoding == 0


def test_times_in_words():
    found = [about_time(s) for s in (0.2, 40, 100, 7200, 50 * 3600, 5 * 86400)]
    assert found == ["about 1 second", "about 40 seconds", "about 2 minutes", "about 2 hours", "about 2 days", "about 5 days"]


def test_the_forecast_counts_what_the_checks_compute(tiny_denoiser, blob_sets, monkeypatch):
    """Against the calls of the checks themselves, for small and large images."""
    painted = []

    def record(model, seeds, *, steps=12, strength=0.0, antithetic=False, **_):
        painted.append(len(seeds) * (2 if antithetic else 1) * steps * (1 if strength == 0 else forecast.GUIDED))
        return np.zeros((len(seeds) * (2 if antithetic else 1), 16, 16, 3), np.uint8)

    ratio = fit_to_features(ratio_features(*blob_sets, tiny_denoiser, CONFIG), tiny_denoiser, CONFIG)
    for module in (baseline_check, strength, lagging, train_in_folder):
        monkeypatch.setattr(module, "sample", record)
    monkeypatch.setattr(baseline_check, "features_at", lambda *a, **k: (_ for _ in ()).throw(InterruptedError))
    monkeypatch.setattr(lagging, "in_gap_components", lambda *a, **k: (_ for _ in ()).throw(InterruptedError))
    monkeypatch.setattr(lagging, "COUNT", 480)
    for side in (16, 256):
        monkeypatch.setattr(Denoiser, "shape", (3, side, side))
        with pytest.raises(InterruptedError):
            baseline_check.check_baseline(tiny_denoiser, blob_sets[0])
        assert forecast.testing_passes(tiny_denoiser) == sum(painted)
        painted.clear()
        strength.match_strength(tiny_denoiser, ratio, *blob_sets)
        assert forecast.matching_passes(tiny_denoiser) == pytest.approx(sum(painted), rel=0.05)  # whole pairs in every fold
        painted.clear()
        with pytest.raises(InterruptedError):
            lagging.measure_lagging(tiny_denoiser, tiny_denoiser, ratio, blob_sets[0])
        assert forecast.lagging_passes(tiny_denoiser) == sum(painted)
        painted.clear()


def parts(o, denoiser, home):
    return {part.name: part.passes for part in forecast.parts_of(o, denoiser, (300, 80), home)}


def test_what_is_kept_is_not_computed_again(tiny_denoiser, tmp_path):
    everything = parts(PreviewOptions(), tiny_denoiser, tmp_path)
    assert list(everything) == ["encoding the images", "testing the baseline", "matching the strength", "sampling"]
    assert "matching the strength" not in parts(PreviewOptions(strength="1.5"), tiny_denoiser, tmp_path)
    (tmp_path / "ratio").mkdir()
    for name in ("baseline_check.json", "strength.json"):
        (tmp_path / name).write_text("{}")
    assert list(parts(PreviewOptions(), tiny_denoiser, tmp_path)) == ["sampling"]
    assert parts(PreviewOptions(count=5, sampling_steps=3), tiny_denoiser, tmp_path)["sampling"] == 5 * 3 * 4
    trained = parts(DebiasOptions(steps=2, batch_size=8), tiny_denoiser, tmp_path)
    assert trained["training"] == 2 * (8 * 3 + 1) and trained["image grids"] == 3 * 64 * 12
    assert list(parts(DebiasOptions(steps=2, objective="dsm-ref"), tiny_denoiser, tmp_path)) == ["training", "image grids"]
    compared = CompareOptions(debiased="x", count=10, sampling_steps=2, solver="heun")
    assert parts(compared, tiny_denoiser, tmp_path) == {"sampling the models": 10 * 2 * 2 * 2}


def test_hours_of_sampling_are_said_with_what_shortens_them(tiny_denoiser, tmp_path, monkeypatch, capsys):
    o = CompareOptions(debiased="x", count=1000)
    run = RunFolder.create(tmp_path / "run", "compare", o)
    monkeypatch.setattr(forecast, "seconds_a_pass", lambda denoiser: 1.0)
    forecast.say_beforehand(run, tiny_denoiser, forecast.parts_of(o, tiny_denoiser))
    assert "about 7 hours" in run.status()["stage"]
    assert capsys.readouterr().err.rstrip().endswith("sampling the models about 7 hours. Shorter with --count or --sampling-steps.")
    monkeypatch.setattr(forecast, "seconds_a_pass", lambda denoiser: 0.001)
    forecast.say_beforehand(run, tiny_denoiser, forecast.parts_of(o, tiny_denoiser))
    assert "about 24 seconds" in run.status()["stage"] and not capsys.readouterr().err


def test_a_check_that_takes_hours_is_left_out_and_said(tiny_denoiser, tmp_path, monkeypatch, capsys):
    o = PreviewOptions(strength="1")
    run = RunFolder.create(tmp_path / "run", "preview", o)
    monkeypatch.setattr(forecast, "seconds_a_pass", lambda denoiser: 2.0)  # 240 samples of 12 steps
    assert inputs.baseline_check(run, o, tiny_denoiser, blobs(60, 0.2, 0)) is None
    assert capsys.readouterr().err == "The test of the baseline would take about 2 hours and is left out.\n"
    assert not (run.path / "baseline_check.json").exists()


def test_a_slow_pass_is_timed_once(tiny_denoiser, monkeypatch):
    asked = []
    clock = iter(np.arange(0, 100, 3.0))
    monkeypatch.setattr(forecast.time, "monotonic", lambda: next(clock))
    assert forecast._seconds_an_image(asked.append, 8) == 3.0 and asked == [1]
    clock = iter(np.arange(0, 100, 0.5))
    assert forecast._seconds_an_image(asked.append, 8) == 0.5 / 8 and asked == [1, 1, 8]


@pytest.mark.parametrize(
    ("o", "seconds", "there"), [(DebiasOptions(steps=2, batch_size=8), 1.5, False), (DebiasOptions(minutes=50), 1.5, True)]
)
def test_looking_for_what_lags_takes_no_longer_than_the_training(tiny_denoiser, tmp_path, monkeypatch, capsys, o, seconds, there):
    """At 256 pixels on two cores it took an hour after two steps of training."""
    monkeypatch.setattr(Denoiser, "shape", (3, 256, 256))
    monkeypatch.setattr(forecast, "seconds_a_pass", lambda denoiser: seconds)
    run = RunFolder.create(tmp_path / "run", "debias", o)
    limit = forecast.lagging_limit(o, tiny_denoiser)
    assert forecast.too_long("The search", tiny_denoiser, forecast.lagging_passes(tiny_denoiser), limit) != there
    (part,) = (part for part in forecast.parts_of(o, tiny_denoiser, (300, 80), tmp_path) if part.name == "looking for what lags")
    forecast.say_beforehand(run, tiny_denoiser, [part])
    assert (about_time(forecast.lagging_passes(tiny_denoiser) * seconds) in run.status()["stage"]) == there
    assert forecast.lagging_limit(DebiasOptions(minutes=600), tiny_denoiser) == forecast.LONG
