"""Attribute classifiers behind one interface, their error counts, and labels of every kind."""

import json
import shutil
import sys
import types
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from test_shares import coloured

from tiw.comparing import plugins
from tiw.comparing.attributes import chosen, codes, crossed_classes, usable_labels
from tiw.comparing.classifier import AttributeClassifier, fit_attribute_classifier
from tiw.comparing.encoders import Encoder, denoiser_encoder, open_encoder
from tiw.comparing.tables import count, difference_rows, holm, share_rows
from tiw.comparing.transfer import transfer_check
from tiw.data import ImageSet
from tiw.errors import UserInputError

RNG = np.random.default_rng(1)
N = 120


def labels(**columns):
    return pd.DataFrame({name: np.asarray(values) for name, values in columns.items()}, dtype=object)


@pytest.mark.parametrize(
    ("frame", "words"),
    [
        (labels(sex=["f"] * N), "every image has sex = 'f'"),
        (labels(sex=["f"] * (N - 1) + ["m"]), "sex has 1 value"),
        (labels(sex=["f"] * (N - 2) + ["m"] * 2), "five labelled images"),
        (labels(id=np.arange(N)), "another value for every image"),
        (labels(who=[f"p{k % 50}" for k in range(N)]), "of 50 in all"),
        (labels(who=[f"p{k % 20}" for k in range(N)]), "20 values, more than 12"),
        (labels(a=RNG.integers(0, 2, N), b=RNG.integers(0, 2, N), c=RNG.integers(0, 2, N)), "none is named"),
        (labels(sex=list("ffmmfm")), "0 value"),
        (None, "no label columns"),
    ],
)
def test_labels_that_cannot_be_used_are_a_sentence(frame, words):
    with pytest.raises(UserInputError, match=words):
        usable_labels(frame)


def test_missing_rare_and_numeric_labels_are_said():
    frame = labels(
        sex=np.array(["f", "m", None, "", np.nan], object)[RNG.integers(0, 5, N)],
        age=RNG.integers(20, 60, N),
    )
    frame.loc[:2, "sex"] = "x"
    used, notes = usable_labels(frame)
    assert set(used["sex"].dropna()) == {"f", "m"} and used["sex"].isna().sum() > 50
    assert used["age"].nunique() == 2 and used["age"].iloc[0].startswith(("below", str(int(np.median(frame["age"])))))
    assert any("missing" in note for note in notes) and any("x (3)" in note for note in notes) and any("median" in note for note in notes)
    flags, _ = usable_labels(labels(smiling=RNG.random(N) < 0.5))
    assert set(flags["smiling"]) == {"True", "False"}


def test_forty_columns_cost_nothing_that_was_not_asked_for():
    frame = labels(**{f"a{k}": RNG.integers(0, 2, N) for k in range(40)})
    used, _ = usable_labels(frame, ("a3", "a7", "a9"))
    assert list(used) == ["a3", "a7", "a9"]
    assert list(crossed_classes({name: ["0", "1"] for name in used})) == ["a3", "a7", "a9", "a3 x a7", "a3 x a9", "a7 x a9", "a3 x a7 x a9"]
    with pytest.raises(UserInputError, match="no 'hair'"):
        usable_labels(frame, ("hair",))
    assert chosen((), ["a", "b"]) == ("a", "b")


def test_codes_of_a_crossing_are_its_combined_values():
    classes = {"a": ["x", "y"], "b": ["u", "v", "w"]}
    found = codes(labels(a=["x", "y", None], b=["w", "u", "u"]), classes)
    assert [crossed_classes(classes)["a x b"][k] for k in found["a x b"][:2]] == ["x-w", "y-u"] and found["a x b"][2] == -1


def test_errors_are_counted_by_cross_validation_over_all_labelled_images():
    """Labels flipped at random in a tenth of the images: a tenth of the counts are wrong, of all images and not of a third."""
    images = coloured(400, 0)
    frame = images.attributes.copy()
    wrong = RNG.permutation(400)[:40]
    frame.loc[wrong, "hue"] = np.where(frame.loc[wrong, "hue"] == "red", "grey", "red")
    found = fit_attribute_classifier(ImageSet(images.images, frame, "flipped"))
    assert found.confusion["hue"].sum() == 400 and found.confusion["hue x light"].sum() == 400
    assert found.accuracy("hue")[0] == pytest.approx(360, abs=8) and found.accuracy("light")[0] >= 396
    assert found.confident["hue"].sum() == 400
    np.testing.assert_array_equal(found.confident["hue"].reshape(2, 2, -1).sum(2).T, found.confusion["hue"])


def test_a_probe_on_features_is_a_classifier_like_any_other(tmp_path, tiny_denoiser):
    from conftest import blobs

    labelled, new = blobs(200, 0.5, 0), blobs(100, 0.5, 1)
    encoder = denoiser_encoder(tiny_denoiser)
    found = fit_attribute_classifier(labelled, encoder=encoder)
    assert (found.predict(new.images)["light"] == new.attributes["light"]).mean() > 0.95 and "middle block" in found.source
    found.save_pretrained(tmp_path)
    again = AttributeClassifier.from_pretrained(tmp_path, encoder)
    np.testing.assert_allclose(again.scores(new.images)["light"], found.scores(new.images)["light"], atol=1e-6)
    with pytest.raises(UserInputError, match="fitted on"):
        AttributeClassifier.from_pretrained(tmp_path)


def test_numbers_are_in_numerical_order():
    frame = labels(month=np.arange(1, 13)[RNG.integers(0, 12, 300)])
    images = RNG.integers(0, 256, (300, 4, 4, 3), dtype=np.uint8)
    assert fit_attribute_classifier(ImageSet(images, frame, "months")).classes["month"] == [str(k) for k in range(1, 13)]


def test_skin_colour_is_the_published_angle():
    """CIELAB of sRGB red is (53.24, 80.09, 67.20); a light skin tone has a higher angle than a dark one."""
    np.testing.assert_allclose(plugins.lab(np.array([255, 0, 0])), [53.24, 80.09, 67.20], atol=0.02)
    tones = np.array([[255, 224, 196], [198, 134, 94], [91, 54, 37]], np.uint8)
    images = np.broadcast_to(tones[:, None, None], (3, 8, 8, 3)).copy()
    angles = plugins.typology_angle(images)
    assert angles[0] > 41 and angles[2] < -30 and (np.diff(angles) < 0).all()
    assert plugins.skin_colour().predict(images).iloc[2, 0] == "dark"


def test_an_onnx_file_speaks_through_its_list(tmp_path, monkeypatch):
    """The contract, with a stand-in for onnxruntime: size, scale, colours and the order of the labels."""
    seen = []

    class Session:
        def __init__(self, path, providers):
            assert path.endswith("tone.onnx")

        def get_inputs(self):
            return [types.SimpleNamespace(name="input")]

        def run(self, _, given):
            seen.append(given["input"])
            brightness = given["input"].mean((1, 2, 3))
            return [np.c_[-brightness, brightness].astype(np.float32)]

    module = types.ModuleType("onnxruntime")
    module.InferenceSession, module.__spec__ = Session, types.SimpleNamespace()
    monkeypatch.setitem(sys.modules, "onnxruntime", module)
    (tmp_path / "tone.onnx").write_bytes(b"x")
    with pytest.raises(UserInputError, match="lacks attribute"):
        plugins.open_onnx(tmp_path / "tone.onnx")
    about = {
        "attribute": "tone",
        "labels": ["dark", "bright"],
        "size": 8,
        "mean": 127.5,
        "std": 127.5,
        "licence": "CC0",
        "limits": "Faces only.",
    }
    (tmp_path / "tone.json").write_text(json.dumps(about))
    found = plugins.plugin(str(tmp_path / "tone.onnx"))
    images = np.stack([np.full((16, 16, 3), value, np.uint8) for value in (0, 255)])
    assert found.predict(images)["tone"].tolist() == ["dark", "bright"] and found.licence == "CC0" and found.notes == ("Faces only.",)
    assert seen[1].shape == (2, 3, 8, 8) and seen[1].min() == -1 and seen[1].max() == 1  # the first was the trial
    counted = found.counted_on(ImageSet(images, labels(tone=["dark", "bright"]), "two"))
    np.testing.assert_array_equal(counted.confusion["tone"], np.eye(2))
    assert plugins.plugin("folder/of/images") is None
    with pytest.raises(UserInputError, match="no file"):
        plugins.plugin(str(tmp_path / "none.onnx"))


@pytest.mark.parametrize("fails", ["InferenceSession", "run"])
def test_a_network_that_cannot_be_run_is_told_when_it_is_named(tmp_path, monkeypatch, fails):
    """It had been told after both models were sampled. onnxruntime's errors are of classes of their own."""

    class Session:
        def __init__(self, *_, **__):
            self.fail("InferenceSession")

        def fail(self, here):
            if here == fails:
                raise type("InvalidProtobuf", (Exception,), {})("Protobuf parsing failed.\n more")

        def get_inputs(self):
            return [types.SimpleNamespace(name="input")]

        def run(self, *_):
            self.fail("run")

    module = types.ModuleType("onnxruntime")
    module.InferenceSession, module.__spec__ = Session, types.SimpleNamespace()
    monkeypatch.setitem(sys.modules, "onnxruntime", module)
    (tmp_path / "tone.onnx").write_bytes(b"junk")
    (tmp_path / "tone.json").write_text('{"attribute": "tone", "labels": ["dark", "bright"], "size": 8}')
    with pytest.raises(UserInputError, match=r"labels: .*tone.onnx cannot be run \(InvalidProtobuf: Protobuf parsing failed.\)"):
        plugins.plugin(str(tmp_path / "tone.onnx"))


def test_a_single_logit_is_one():
    """Of two values, one number: a logit's sign decides, and its sigmoid is the probability. -0.3 and 0.3 had both been the first."""
    logits = np.array([-2.0, -0.3, 0.3, 2.0])[:, None]
    sigmoid = 1 / (1 + np.exp(-logits[:, 0]))
    np.testing.assert_allclose(plugins.probabilities(logits), np.c_[1 - sigmoid, sigmoid])
    inside = np.array([0.0, 0.4, 1.0])[:, None]
    np.testing.assert_allclose(plugins.probabilities(inside), np.c_[1 - inside, inside])
    np.testing.assert_allclose(plugins.probabilities(inside, logits=True)[:, 1], 1 / (1 + np.exp(-inside[:, 0])))
    three = np.array([[0.2, 0.3, 0.5], [1.0, 0.0, 0.0]])
    np.testing.assert_allclose(plugins.probabilities(three), three)
    np.testing.assert_allclose(plugins.probabilities(np.log(three[:1]) + 7), three[:1])
    np.testing.assert_allclose(plugins.probabilities(np.log(three[:1]) / 2, logits=True), three[:1] ** 0.5 / (three[:1] ** 0.5).sum())


def test_the_example_of_a_contract_is_one_and_its_limits_are_told(tmp_path, monkeypatch):
    """The gender model of a package: never without saying who perceives, in how many images it errs, and what it cannot know."""
    module = types.ModuleType("onnxruntime")
    module.__spec__ = types.SimpleNamespace()
    monkeypatch.setitem(sys.modules, "onnxruntime", module)
    shutil.copy(Path(__file__).parents[1] / "docs" / "examples" / "gender-v1.json", tmp_path)
    (tmp_path / "gender-v1.onnx").write_bytes(b"x")
    found = plugins.open_onnx(tmp_path / "gender-v1.onnx")
    assert list(found.classes) == ["gender as perceived by gender-v1"] and "not what a person is" in found.notes[0]
    assert found._input(np.full((1, 64, 64, 3), 255, np.uint8)).shape == (1, 3, 32, 32)


def test_encoders_have_names_and_say_what_is_missing(monkeypatch, tmp_path):
    images = RNG.integers(0, 256, (50, 6, 6, 3), dtype=np.uint8)
    own = Encoder("mean colours", lambda batch: batch.mean((1, 2)))
    assert own(images).shape == (50, 3) and own(images).dtype == np.float32
    with pytest.raises(UserInputError, match="choose one of pca"):
        open_encoder("resnet", images, "noise")
    with pytest.raises(UserInputError, match="no denoiser"):
        open_encoder("denoiser", images, "noise")


def test_holm_is_the_published_procedure():
    np.testing.assert_allclose(holm(np.array([0.01, 0.04, 0.03, 0.005])), [0.03, 0.06, 0.06, 0.02])


def test_tables_say_what_differs_and_what_could_have_been_seen():
    classifier = fit_attribute_classifier(coloured(600, 0))
    sets = {"baseline": coloured(500, 1), "debiased": coloured(500, 2), "reference": coloured(100, 3)}
    frames = {name: images.attributes.copy() for name, images in sets.items()}
    frames["baseline"]["hue"] = np.where(np.arange(500) < 25, "red", "grey")
    counted = count(classifier, frames)
    rows = share_rows(counted)
    red = next(r for r in rows if (r["set"], r["value"]) == ("baseline", "red"))
    assert red["share"] == 0.05 and red["corrected"]["share"] == pytest.approx(0.05, abs=0.01) and red["count"] == 25
    found = {(r["from"], r["attribute"], r["value"]): r for r in difference_rows(counted)}
    risen = found["baseline", "hue", "red"]
    assert risen["seen"] and risen["raw"]["value"] > 0.3 and risen["words"].startswith("More frequent than in the baseline, by 3")
    same = found["target", "light", "bright"]
    assert not same["seen"] and same["words"].startswith("Not distinguishable from the target at this n. With 500 and 100 images")
    assert "a difference of 15 points" in same["words"]


def test_few_labels_leave_raw_shares_and_say_how_many_are_missing():
    small = coloured(40, 0)
    classifier = fit_attribute_classifier(small)
    counted = count(classifier, dict.fromkeys(("baseline", "debiased", "reference"), coloured(100, 1).attributes))
    assert "more of" in counted.not_measurable["hue x light"] and "Not measurable" in counted.not_measurable["hue x light"]
    row = next(r for r in share_rows(counted) if r["attribute"] == "hue x light")
    assert row["corrected"] is None and row["interval"][1] > row["share"]


def test_images_like_the_labelled_ones_pass_the_transfer_check_and_strange_ones_do_not():
    classifier = fit_attribute_classifier(coloured(400, 0))
    alike = [t for seed in range(8) for t in transfer_check(classifier, coloured(300, 10 + seed).images)]
    assert sum(not t.fits for t in alike) <= 3 and alike[0].n == 300  # 16 tests at 5 %
    washed = (0.5 * coloured(300, 2).images + 0.5 * coloured(300, 2).images.mean((1, 2, 3), keepdims=True)).astype(np.uint8)
    strange = {t.attribute: t for t in transfer_check(classifier, (washed * 0.6 + 45).astype(np.uint8))}
    assert not all(t.fits for t in strange.values()) and any("spot check" in t.sentence for t in strange.values())
