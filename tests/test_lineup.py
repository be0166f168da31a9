"""More models in a comparison: found, said which they are, checked first, sampled from the same seeds, measured alike."""

import json
from dataclasses import replace

import numpy as np
import pytest
from conftest import blobs
from test_comparison_run import compare, trained  # noqa: F401  (a fixture)

from tiw.comparing.classifier import fit_attribute_classifier
from tiw.comparing.compare import measure
from tiw.data import load_set
from tiw.errors import UserInputError
from tiw.model.denoiser import Denoiser
from tiw.model.networks import PRESETS
from tiw.model.sampling import sample
from tiw.ratio.density_ratio import fit_to_features
from tiw.ratio.features import RatioConfig, ratio_features
from tiw.run import actions, comparison, fields, names
from tiw.run.folder import RunFolder
from tiw.run.inputs import keep_ratio, open_denoiser
from tiw.run.lineup import title_of
from tiw.run.options import DebiasOptions


@pytest.fixture
def kept(trained, tmp_path, tiny_denoiser):  # noqa: F811
    """The debias run with two moving averages that it kept, and a ratio."""
    for step in (10, 20):
        tiny_denoiser.save_pretrained(trained.path / names.KEPT / f"{step:06d}")
    o = trained.options
    biased, reference = load_set(o.biased, "biased"), load_set(o.reference, "reference", o.references)
    config = RatioConfig(sigmas=(0.5, 2.0), biased_images=60, folds=2, seed=0)
    ratio = fit_to_features(ratio_features(biased, reference, tiny_denoiser, config), tiny_denoiser, config)
    keep_ratio(trained.path / names.RATIO, ratio, biased, reference)
    trained.write_result({"steps": 30, "objective": "tiw-dsm"})
    trained.describe("first try")
    return trained


def test_kept_guided_and_other_runs_models_stand_beside_the_two(kept, tmp_path, tiny_denoiser):
    also = f"kept, guided:1.5, {tmp_path / 'baseline'}"
    run, result = compare(kept, tmp_path, labels=kept.options.biased, also=also, count=19)
    rows = {model["name"]: model for model in result["models"]}
    assert list(rows) == ["baseline", "debiased", "step 10", "step 20", "guided 1.5", "model 1"]
    assert rows["debiased"]["title"] == "tiw-dsm, 30 steps (first try)" and rows["debiased"]["step"] == 30
    assert (rows["step 20"]["step"], rows["guided 1.5"]["strength"], rows["model 1"]["title"]) == (20, 1.5, "baseline")
    with np.load(run.path / names.SAMPLES) as arrays:
        assert set(arrays.files) == {"seeds", *rows}
        np.testing.assert_array_equal(arrays["step 10"], arrays["baseline"])  # the same weights from the same seeds
        model = open_denoiser(str(tmp_path / "baseline"), "cpu")
        guided = sample(model, range(19), steps=1, guidance=comparison.open_ratio(kept, model), strength=1.5)
        np.testing.assert_array_equal(arrays["guided 1.5"], guided)
    assert rows["step 10"]["kernel_distance"] == rows["baseline"]["kernel_distance"]
    assert rows["step 10"]["discrepancy"] == rows["baseline"]["discrepancy"]
    assert set(json.loads((run.path / names.PREDICTED).read_text())["codes"]) == set(rows)
    found = fields.findings({"compare": run.result()}, {}, {}, []).fields[12]
    assert found.table.head[0] == "Model" and len(found.table.rows) == 6


@pytest.mark.parametrize(
    ("also", "words"),
    [
        ("kept:11", "kept no such"),
        ("nowhere", "also.*nowhere"),
        ("guided:x", "guided:x"),
        ("other", "paints 8 pixels"),
        ("sweep,kept," + ",".join(f"guided:0.{k}" for k in range(1, 9)), "at most 12"),
    ],
)
def test_what_cannot_stand_beside_them_is_said_before_a_sample_is_drawn(kept, tmp_path, monkeypatch, also, words):
    Denoiser.new(replace(PRESETS["tiny"], resolution=8)).save_pretrained(tmp_path / "other")
    monkeypatch.setattr(comparison, "draw_samples", lambda *a, **k: pytest.fail("a sample was drawn"))
    with pytest.raises(UserInputError, match=words):
        compare(kept, tmp_path, also=str(tmp_path / "other") if also == "other" else also)


def test_a_run_without_a_ratio_cannot_guide_and_a_mere_model_has_no_run(trained, tmp_path):  # noqa: F811
    with pytest.raises(UserInputError, match="nothing can guide"):
        compare(trained, tmp_path / "one", also="sweep")
    model = str(tmp_path / "baseline")
    with pytest.raises(UserInputError, match="not the model of one"):
        compare(trained, tmp_path / "two", also="kept", debiased=model, baseline=model, reference=trained.options.reference)


def test_measured_alike_whatever_its_place():
    """A model beside the two gets the numbers that it has as one of them."""
    classifier = fit_attribute_classifier(blobs(200, 0.5, 0))
    first, second, third = (blobs(60, share, seed).images for share, seed in ((0.1, 1), (0.5, 2), (0.3, 3)))
    reference = blobs(39, 0.5, 4)
    beside = measure(first, second, reference, classifier, also={"other": third}).models[2]
    alone = measure(first, third, reference, classifier).models[1]
    assert (beside.discrepancy, beside.corrected) == (alone.discrepancy, True)
    distances = [(found.value, *found.interval) for found in (beside.kernel_distance, alone.kernel_distance)]
    assert distances[0] == pytest.approx(distances[1], rel=1e-5)  # a product of matrices depends on where they lie in memory


def test_moving_averages_are_kept_at_even_distances(tmp_path, tiny_denoiser, monkeypatch):
    tiny_denoiser.save_pretrained(tmp_path / "baseline")
    np.savez(tmp_path / "images.npz", images=blobs(40, 0.5, 0).images)
    data = str(tmp_path / "images.npz")
    given = {"objective": "dsm-ref", "biased": data, "reference": data, "baseline": str(tmp_path / "baseline"), "device": "cpu"}
    options = DebiasOptions(**given, steps=6, keep=2, batch_size=4, preview_every=6)
    run = RunFolder.create(tmp_path / "run", "debias", options)
    actions.debias(run, options)
    assert sorted(folder.name for folder in (run.path / names.KEPT).iterdir()) == ["000002", "000004"]
    assert title_of(str(run.path / names.KEPT / "000004")) == "dsm-ref, 4 steps (run)"
    assert comparison.debiasing_run(str(run.path / names.KEPT / "000004")).path == run.path
