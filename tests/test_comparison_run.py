"""Compare knows the run it compares, and finds what is wrong before the first sample is drawn."""

import json
from dataclasses import asdict, replace

import numpy as np
import pandas as pd
import pytest
from conftest import blobs

from tiw.comparing.classifier import AttributeClassifier
from tiw.comparing.encoders import Encoder
from tiw.data import load_demo
from tiw.errors import UserInputError
from tiw.files import shipped
from tiw.model.denoiser import Denoiser
from tiw.model.networks import PRESETS
from tiw.run import comparison, names
from tiw.run.folder import RunFolder
from tiw.run.options import CompareOptions, DebiasOptions, validate


def saved(path, images):
    np.savez(path, images=images.images, **{name: images.attributes[name].to_numpy(str) for name in images.attributes})
    return str(path)


@pytest.fixture
def trained(tmp_path, tiny_denoiser):
    """A debias run with its model, made from 50 of 80 references."""
    tiny_denoiser.save_pretrained(tmp_path / "baseline")
    options = DebiasOptions(
        biased=saved(tmp_path / "biased.npz", blobs(120, 0.2, 0)),
        reference=saved(tmp_path / "reference.npz", blobs(80, 0.6, 1)),
        baseline=str(tmp_path / "baseline"),
        references=50,
        steps=1,
    )
    run = RunFolder.create(tmp_path / "run", "debias", options)
    tiny_denoiser.save_pretrained(run.path / names.MODEL)
    return run


def compare(trained, tmp_path, **changes):
    given = {"debiased": str(trained.path / names.MODEL), "count": 40, "sampling_steps": 1, "device": "cpu", **changes}
    run = RunFolder.create(tmp_path / "compare", "compare", CompareOptions(**given))
    return run, comparison.compare(run, run.options)


def test_it_takes_what_the_run_used(trained, tmp_path):
    """The same weights as baseline and debiased: a perfect tie, and a baseline that may be perfect divides nothing by zero."""
    run, result = compare(trained, tmp_path, labels=trained.options.biased)
    assert result["sets"]["reference"]["n"] == 50 and result["used"]["references"] == 50
    assert result["used"]["biased"] == trained.options.biased and result["residual"]["floor"]["n"][1] == 50
    assert {"auc", "interval", "p"} <= set(result["residual"]["baseline"]) and isinstance(result["residual"]["verdict"], str)
    assert result["residual"]["nearer"]["value"] == 0 and result["joint"] == "light"
    pairs = pd.read_csv(run.path / names.PAIRS)
    near = ["debiased: nearest in reference, row", "distance in reference", "debiased: nearest in training, row", "distance in training"]
    assert list(pairs) == ["seed", "baseline: light", "debiased: light", *near] and len(pairs) == 40
    assert pairs[near[0]].max() < 50 <= 119 >= pairs[near[2]].max()
    with np.load(run.path / names.EXAMPLES) as kept, np.load(run.path / names.SAMPLES) as samples:
        closest = int(pairs[near[3]].argmin())
        np.testing.assert_array_equal(kept["samples_near_training"][0], samples["debiased"][closest])
        np.testing.assert_array_equal(kept["nearest_training"][0], blobs(120, 0.2, 0).images[pairs[near[2]][closest]])
    assert json.loads((run.path / names.RESULT).read_text())["kernel_distance"]["n"] == 40


def test_the_biased_sets_own_labels_count_the_shares(trained, tmp_path, monkeypatch):
    """Nobody has to name the labels that the set came with; many columns, or labels that will not do, are said."""
    named, own = (
        compare(trained, tmp_path / name, **how)[0].result() for name, how in (("a", {"labels": trained.options.biased}), ("b", {}))
    )
    assert own["shares"] == named["shares"] and own["joint"] == "light" and own["fairness_discrepancy"] == named["fairness_discrepancy"]
    biased, rng = blobs(120, 0.2, 0), np.random.default_rng(0)
    many = pd.DataFrame({name: rng.integers(0, 2, 120).astype(str) for name in "abc"})
    numbered = pd.DataFrame({"id": [str(k) for k in range(120)]})
    for name, table, said in (("c", many, "has 3 columns of labels"), ("d", numbered, "labels do not do"), ("e", None, "")):
        images = replace(biased, attributes=table)
        monkeypatch.setattr(comparison, "floor_images", lambda *a, images=images: (images, []))
        result = compare(trained, tmp_path / name)[0].result()
        assert result["shares"] == [] and said in " ".join(result["notes"]) and bool(result["notes"]) == bool(said)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"reference": "biased"}, "reference: it is .* trained with"),
        ({"references": 20}, "references: it is 20"),
        ({"labels": "wide"}, "attributes: there are 3 .*none is named"),
        ({"labels": "wide", "attributes": "a,hat"}, "no 'hat'"),
        ({"labels": "few"}, "five labelled images"),
        ({"labels": "bare"}, "no label columns"),
        ({"attributes": "hat"}, "no 'hat'|no column"),
        ({"heldout": "large"}, "heldout: its images are 24 pixels"),
        ({"heldout": "missing.npz"}, "heldout"),
        ({"baseline": "other"}, "debiased: it paints 16 pixels"),
        ({"debiased": "nowhere"}, "nowhere"),
        ({"encoder": "efficientnet"}, "not installed"),
        ({"labels": "gone.onnx"}, "no file gone.onnx"),
    ],
)
def test_everything_is_checked_before_a_sample_is_drawn(trained, tmp_path, monkeypatch, changes, words):
    monkeypatch.setattr(comparison, "draw_samples", lambda *a, **k: pytest.fail("a sample was drawn"))
    monkeypatch.setattr("tiw.comparing.encoders.find_spec", lambda name: None)
    rng = np.random.default_rng(0)
    small = blobs(60, 0.5, 3)
    np.savez(tmp_path / "wide.npz", images=small.images, **{name: rng.integers(0, 2, 60) for name in "abc"})
    np.savez(tmp_path / "few.npz", images=small.images[:6], light=list("ffmmfm"))
    np.savez(tmp_path / "bare.npz", images=small.images)
    np.savez(tmp_path / "large.npz", images=np.repeat(np.repeat(small.images, 2, 1), 2, 2)[:, :24, :24])
    if "baseline" in changes:
        Denoiser.new(replace(PRESETS["tiny"], resolution=8)).save_pretrained(tmp_path / "other")
    paths = {name: str(tmp_path / f"{name}.npz") for name in ("biased", "wide", "few", "bare", "large")} | {
        "other": str(tmp_path / "other")
    }
    with pytest.raises(UserInputError, match=words):
        compare(trained, tmp_path, **{key: paths.get(value, value) for key, value in changes.items()})


def test_the_classifier_is_a_probe_on_the_chosen_encoders_features(trained, tmp_path, monkeypatch):
    """A network for large images is asked about some of many labelled ones, and says how far it has got."""
    monkeypatch.setenv("TIW_HOME", str(tmp_path / "home"))
    monkeypatch.setattr(comparison, "MOST_LABELLED", 100)
    slow = Encoder("mean colours", lambda images: images.mean((1, 2)), batch=32, kept_as="mean colours 1")
    monkeypatch.setattr(comparison, "open_encoder_for", lambda *given: slow)
    monkeypatch.setattr(comparison, "check_encoder", lambda name: None)
    stages = []
    monkeypatch.setattr(RunFolder, "progress", lambda self, stage, done, total, eta_seconds=None: stages.append((stage, total)))
    _, result = compare(trained, tmp_path, encoder="efficientnet")
    assert "mean colours" in result["classifier"]["name"] and result["kernel_distance"]["encoder"] == "mean colours"
    assert any("100 of the 120 labelled images" in note for note in result["notes"])
    assert {("Encoding images", n) for n in (100, 40, 50)} <= set(stages)
    assert "middle block" in compare(trained, tmp_path / "usual", encoder="pca")[1]["classifier"]["name"]


def test_images_that_changed_since_are_noticed(trained, tmp_path):
    (trained.path / names.RATIO).mkdir()
    other = asdict(blobs(50, 0.5, 9).fingerprint)
    (trained.path / names.RATIO / names.SETS).write_text(json.dumps({"reference": other, "biased": other}))
    with pytest.raises(UserInputError, match="have changed since the model was debiased"):
        compare(trained, tmp_path)


def test_a_biased_set_that_is_gone_costs_only_the_floor(trained, tmp_path):
    (tmp_path / "biased.npz").unlink()
    _, result = compare(trained, tmp_path, count=30)
    assert result["residual"]["floor"] is None and any("has no floor" in note for note in result["notes"])


def test_the_sets_are_called_as_the_run_called_them(trained):
    """A comparison's report named the files, although the sets had been given names."""
    options = json.loads((trained.path / names.CONFIG).read_text())
    options["options"] |= {"reference_name": "Photographs"}
    (trained.path / names.CONFIG).write_text(json.dumps(options))
    run = comparison.debiasing_run(str(trained.path / "model"))
    assert comparison.resolved(CompareOptions(debiased="x"), run).reference_name == "Photographs"
    assert comparison.resolved(CompareOptions(debiased="x", reference_name="Paintings"), run).reference_name == "Paintings"


def test_classes_are_numbered_as_they_were_for_the_training():
    """By the reference alone, which lacks the first class, 2 and 3 became 0 and 1, or were refused."""
    biased, reference = (
        replace(blobs(6, 0.5, 0), attributes=pd.DataFrame({"kind": values})) for values in (list("abcabc"), list("bcbcbc"))
    )
    assert comparison.classed(reference, biased, "kind", 3).labels.tolist() == [1, 2, 1, 2, 1, 2]
    numbered = replace(reference, attributes=pd.DataFrame({"kind": list("232323")}))
    both = replace(biased, attributes=pd.DataFrame({"kind": list("123123")}))
    assert comparison.classed(numbered, both, "kind", 3).labels.tolist() == [1, 2, 1, 2, 1, 2]
    assert comparison.classed(numbered, None, "kind", 4).labels.tolist() == [2, 3, 2, 3, 2, 3]


def test_without_a_run_the_demo_stands_in():
    found = comparison.resolved(CompareOptions(debiased="x"), None)
    assert (found.baseline, found.biased, found.reference) == ("demo", "demo", "demo")
    own = comparison.resolved(CompareOptions(debiased="x", baseline="b", reference="r"), None)
    assert own.biased == ""
    with pytest.raises(UserInputError, match="margin"):
        validate("compare", CompareOptions(debiased="x", margin=0.6))


@pytest.mark.parametrize("attributes", ["", "hair", "skin", "hair,skin"])
def test_of_the_demo_any_attributes_can_be_compared(attributes, tmp_path, monkeypatch):
    """Its truth was that of all its attributes, whichever were chosen: an error about an option that there is not."""

    class ReachedError(Exception):
        pass

    def reached(*_args, **_how):
        raise ReachedError

    monkeypatch.setattr(comparison, "find_others", reached)  # all that is checked before samples are drawn comes before it
    options = CompareOptions(debiased=str(shipped("checkpoints") / "baseline"), attributes=attributes, count=2, device="cpu")
    with pytest.raises(ReachedError):
        comparison.compare(RunFolder.create(tmp_path / "run", "compare", options), options)


def test_the_demos_truth_is_that_of_the_chosen_attributes():
    classifier = AttributeClassifier.from_pretrained(shipped("checkpoints") / "classifier")
    joint = load_demo().truth["shares"]["reference"]
    assert comparison.demo_truth(classifier) == pytest.approx(joint)
    hair = comparison.demo_truth(classifier.only(("hair",)))
    assert hair["long"] == pytest.approx(sum(share for key, share in joint.items() if key.endswith("-long")))
    turned = comparison.demo_truth(classifier.only(("hair", "skin")))
    assert turned["long-darker"] == pytest.approx(joint["darker-long"])
