"""The actions end to end on tiny sets: what they leave in their run folder, and that a stopped run loses nothing."""

import json
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch
from conftest import blobs
from safetensors.torch import load_file

from tiw.debiasing.strength import StrengthMatch
from tiw.errors import UserInputError
from tiw.intervals import Estimate
from tiw.model.denoiser import Denoiser
from tiw.model.device import pick_precision
from tiw.model.networks import LARGE, PRESETS, SMALL, preset_for
from tiw.model.sampling import sample
from tiw.ratio.density_ratio import DensityRatio
from tiw.run import actions, train_in_folder
from tiw.run import inputs as inputs_module
from tiw.run.budget import Plan
from tiw.run.folder import RunFolder, Stopped
from tiw.run.options import AuditOptions, CompareOptions, DebiasOptions, PreviewOptions, SampleOptions, TrainOptions


@pytest.fixture
def inputs(tmp_path, tiny_denoiser):
    for name, images in (("biased", blobs(200, 0.2, 0)), ("reference", blobs(60, 0.6, 1))):
        np.savez(tmp_path / f"{name}.npz", images=images.images, light=images.attributes["light"].to_numpy(str))
    tiny_denoiser.save_pretrained(tmp_path / "baseline")
    paths = {name: str(tmp_path / f"{name}.npz") for name in ("biased", "reference")}
    return {**paths, "baseline": str(tmp_path / "baseline"), "device": "cpu"}


def run(path, kind, options):
    folder = RunFolder.create(path, kind, options)
    result = actions.EXECUTE[kind](folder, options)
    folder.write_result(result)
    return folder, result


def debias_options(inputs, **changes):
    fixed = {"strength": "1", "steps": 4, "batch_size": 8, "checkpoint_every": 2, "preview_every": 4, "precision": "float32"}
    return DebiasOptions(**inputs, **{**fixed, **changes})


def test_audit_debias_compare(inputs, tmp_path, monkeypatch):
    monkeypatch.setattr(inputs_module, "match_strength", lambda *a, **k: StrengthMatch(1.1, Estimate(1.0, (0.8, 1.2))))
    audited, _ = run(tmp_path / "audit", "audit", AuditOptions(**inputs, scored=100, folds=3, map=False))
    scores = pd.read_parquet(audited.path / "scores.parquet")
    assert len(scores) == 160 and set(scores["label: light"]) == {"bright", "dark"}
    bright = scores[scores["label: light"] == "bright"]["log_ratio_0"].mean()
    assert bright > scores[scores["label: light"] == "dark"]["log_ratio_0"].mean()

    debiased, result = run(tmp_path / "debias", "debias", debias_options(inputs, audit=str(audited.path), strength="auto"))
    assert result["strength"] == 1.1 and result["steps"] == 4
    assert [line["step"] for line in debiased.read_lines("steps.jsonl")] == [1, 2, 3, 4]
    assert [line["step"] for line in debiased.read_lines("previews.jsonl")] == [0, 4]
    assert (debiased.path / "model" / "denoiser.json").is_file() and not (debiased.path / "checkpoint.pt").exists()

    options = CompareOptions(
        baseline=inputs["baseline"],
        debiased=str(debiased.path / "model"),
        reference=inputs["reference"],
        labels=inputs["biased"],
        count=70,
        sampling_steps=2,
        device="cpu",
    )
    compared, result = run(tmp_path / "compare", "compare", options)
    assert np.load(compared.path / "samples.npz")["debiased"].shape == (70, 16, 16, 3)
    assert {s["set"] for s in result["shares"]} == {"baseline", "debiased", "reference"}


def test_an_audit_without_a_model_and_without_labels(inputs, tmp_path):
    """Pixels stand in for the model's features, groups for labels; every biased image ends with a score."""
    for name in ("biased", "reference"):
        with np.load(inputs[name]) as arrays:
            images = arrays["images"]
        if name == "reference":
            images[:2] = images[2]  # three alike
        np.savez(inputs[name], images=images)
    audited, result = run(tmp_path / "audit", "audit", AuditOptions(**{**inputs, "baseline": "none"}, scored=100, folds=3, map=False))
    assert result["levels"][0]["auc"]["value"] > 0.6
    assert not (audited.path / "strength.json").exists() and result["groups"] and result["shares"]
    rest, scores = (pd.read_parquet(audited.path / f"{name}.parquet") for name in ("rest", "scores"))
    assert sorted([*rest["item"], *scores.loc[scores["set"] == "biased", "item"]]) == list(range(200))
    page = (audited.path / "report.html").read_text()
    (problem,) = result["problems"]
    assert (problem["kind"], problem["count"]) == ("duplicate", 2) and problem["sentence"] in page
    assert page.index(result["finding"]["sentence"]) < page.index(result["verdict"]["sentence"]) < page.index("Diagnostics")
    assert "times in 100 (50 = guessing)" in page and "images of the reference set" in page
    assert page.count("data:image/webp") >= 2 + len(result["groups"])
    with pytest.raises(UserInputError, match=r"baseline.*train"):
        RunFolder.create(tmp_path / "debias", "debias", debias_options({**inputs, "baseline": "none"}))


def test_a_stopped_run_goes_on_to_the_same_weights(inputs, tmp_path, monkeypatch):
    whole, _ = run(tmp_path / "whole", "debias", debias_options(inputs, objective="dsm-obs"))
    stopped = RunFolder.create(tmp_path / "stopped", "debias", debias_options(inputs, objective="dsm-obs"))
    append = RunFolder.append

    def append_and_stop(self, name, line):
        append(self, name, line)
        if name == "steps.jsonl" and line["step"] == 3:
            self.request_stop()

    monkeypatch.setattr(RunFolder, "append", append_and_stop)
    with pytest.raises(Stopped):
        actions.debias(stopped, stopped.options)
    monkeypatch.setattr(RunFolder, "append", append)
    assert (stopped.path / "checkpoint.pt").is_file() and not (stopped.path / "model").exists()
    (stopped.path / "stop").unlink()
    actions.debias(stopped, stopped.options)
    for part in ("model", "raw"):
        weights = "unet/diffusion_pytorch_model.safetensors"
        one, other = (load_file(folder.path / part / weights) for folder in (whole, stopped))
        assert all(bool((one[name] == other[name]).all()) for name in one)
    lines = [[line["loss"] for line in folder.read_lines("steps.jsonl")] for folder in (whole, stopped)]
    assert lines[0] == lines[1]


def test_train_and_sample(inputs, tmp_path, capsys):
    options = TrainOptions(data=inputs["biased"], steps=3, batch_size=8, device="cpu", precision="float32")
    trained, _ = run(tmp_path / "train", "train", options)
    model = str(trained.path / "model")
    check = trained.result()["training_check"]
    assert check["check"]["differs"] and check["check"]["n"] == 240 and check["halfway"]["n"] == 240  # three steps are too few
    assert "trained too little" in check["sentence"] and check["sentence"] in capsys.readouterr().err
    assert not (trained.path / "kept").exists()
    usual = TrainOptions(data=inputs["biased"], steps=1, device="cpu", precision="float32")
    _, result = run(tmp_path / "usual", "train", usual)
    assert result["images_per_second"] * result["training_seconds"] == pytest.approx(32)
    sampled, result = run(tmp_path / "sample", "sample", SampleOptions(model=model, count=5, sampling_steps=2, seed=3, device="cpu"))
    assert result["seeds"] == [3, 7] and len(np.load(sampled.path / "samples.npz")["images"]) == 5


def test_who_does_not_save_the_baseline_does_not_wait_for_it(inputs, tmp_path, monkeypatch):
    """It had opened RUN/model while the first process still drew the last samples, and so ended the run."""
    options = TrainOptions(data=inputs["biased"], steps=2, batch_size=8, device="cpu", precision="float32")
    monkeypatch.setenv("WORLD_SIZE", "2")
    monkeypatch.setenv("RANK", "1")
    monkeypatch.setattr(actions.processes, "join", lambda _device: None)
    monkeypatch.setattr(actions.processes, "agreed", lambda value: value)
    monkeypatch.setattr(actions, "train_to_folder", lambda *_: {"steps": 2})
    (tmp_path / "first").mkdir()
    folder = replace(RunFolder.create(tmp_path / "second", "train", options), leader=tmp_path / "first")
    assert actions.train(folder, options) == {"steps": 2, "training_check": None}


def test_a_batch_that_cannot_be_shared_out_is_refused_before_any_work(inputs, tmp_path, monkeypatch):
    """The images had been encoded, the ratio fitted and the baseline tested by then."""
    monkeypatch.setenv("WORLD_SIZE", "3")
    monkeypatch.setattr(actions.processes, "join", lambda _device: None)
    for work in ("read_set", "open_denoiser"):
        monkeypatch.setattr(inputs_module, work, None)
    monkeypatch.setattr(actions, "train_to_folder", None)
    for kind, options in (
        ("debias", debias_options(inputs, batch_size=8)),
        ("train", TrainOptions(data=inputs["biased"], steps=2, device="cpu")),  # 32, on a CPU
    ):
        with pytest.raises(UserInputError, match=r"batch_size: (8|32) images cannot be shared equally by 3 .* a multiple of 3"):
            run(tmp_path / kind, kind, options)


@pytest.mark.parametrize(
    ("plans", "o", "kept"),
    [
        ([(0, 40)], TrainOptions(), [20]),
        ([(0, 40), (22, 36)], TrainOptions(), [20]),
        ([(0, 60), (24, 40)], TrainOptions(), [24]),  # half of the new plan has passed already
        ([(0, 20), (12, 40)], TrainOptions(), [10, 20]),  # the last one counts
        ([(0, 40)], DebiasOptions(keep=3), [10, 20, 30]),
        ([(0, 40)], DebiasOptions(), []),
    ],
)
def test_what_is_kept_on_the_way_follows_the_plan(tmp_path, plans, o, kept):
    folder = RunFolder.create(tmp_path / "run", "train" if isinstance(o, TrainOptions) else "debias", o)
    plan, found = Plan(o, plans), []
    for step in range(1, plans[-1][1] + 1):
        if train_in_folder._is_kept(folder, o, step, plan.steps(step)):
            (folder.path / "kept" / f"{step:06d}").mkdir(parents=True)
            found.append(step)
    assert found == kept


def test_images_of_no_network_are_refused_before_any_work(tmp_path):
    np.savez(tmp_path / "odd.npz", images=np.zeros((30, 24, 24, 3), np.uint8))
    folder = RunFolder.create(tmp_path / "train", "train", TrainOptions(data=str(tmp_path / "odd.npz"), steps=3, device="cpu"))
    with pytest.raises(UserInputError, match=r"resolution: .*24x24 pixels.*16, 32 and 64.*set resolution"):
        actions.train(folder, folder.options)
    assert [preset_for(side, device) for side in (16, 32, 64) for device in ("cpu", "cuda")] == [
        *("tiny", "tiny"),
        *("small32", "cifar10"),
        *("demo", "faces64"),
    ]
    assert all(PRESETS[name].resolution == side for side in (16, 32, 64) for name in (SMALL[side], LARGE[side]))


def test_a_foreign_baseline_is_told(inputs, tmp_path, monkeypatch, capsys):
    """An untrained network is no model of the set. The test is made once for a ratio, and not where no ratio is used."""
    match = StrengthMatch(1.1, Estimate(1.0, (0.8, 1.2)), ((0.0, 0.1), (1.5, 1.3)), (0.9, 1.3))
    monkeypatch.setattr(inputs_module, "match_strength", lambda *a, **k: match)
    audited, _ = run(tmp_path / "audit", "audit", AuditOptions(**inputs, scored=100, folds=3, map=False))
    options = debias_options(inputs, audit=str(audited.path), strength="auto")
    folder, result = run(tmp_path / "one", "debias", options)
    check = result["baseline_check"]
    assert check["differs"] and check["interval"][0] > 0.6 and check["n"] == 240
    assert capsys.readouterr().err.count(check["sentence"]) == 1

    monkeypatch.setattr(inputs_module, "check_baseline", None)  # what is kept is not made again
    previewed, _ = run(tmp_path / "preview", "preview", PreviewOptions(**inputs, audit=str(audited.path), strength="1", count=4))
    assert previewed.result()["baseline_check"] == folder.result()["baseline_check"]
    assert "told from the biased set" in capsys.readouterr().err
    _, plain = run(tmp_path / "plain", "debias", debias_options(inputs, objective="dsm-ref"))
    assert plain["baseline_check"] is None and capsys.readouterr().err == ""

    kept = audited.path / "baseline_check.json"
    kept.write_text(json.dumps({**check, "differs": False}))
    _, trusted = run(tmp_path / "two", "debias", options)
    assert capsys.readouterr().err == ""
    assert trusted["strength_match"] == result["strength_match"] and result["strength"] == 1.1
    # The usual rate of so small a network; the warm-up begins with a fifth of it.
    assert result["learning_rate"] == trusted["learning_rate"] == pytest.approx(6e-4)
    assert folder.read_lines("steps.jsonl")[0]["learning_rate"] == pytest.approx(6e-4 / 5)


def test_samples_are_steered_by_the_audit_that_is_named(inputs, tmp_path, monkeypatch):
    """At strength 0 by nothing; a model that is not the audit's is steered by features of the audit's own baseline."""
    monkeypatch.setattr(inputs_module, "match_strength", lambda *a, **k: StrengthMatch(1.5, Estimate(1.0, (0.8, 1.2))))
    audited, _ = run(tmp_path / "audit", "audit", AuditOptions(**inputs, scored=100, folds=3, map=False))
    torch.manual_seed(1)
    other = Denoiser.new(PRESETS["tiny"]).eval()
    other.save_pretrained(tmp_path / "other")

    def drawn(name, **options):
        folder, result = run(tmp_path / name, "sample", SampleOptions(count=4, sampling_steps=4, device="cpu", **options))
        return np.load(folder.path / "samples.npz")["images"].astype(int), result["strength"]

    plain, none = drawn("plain", model=inputs["baseline"])
    matched, strength = drawn("matched", model=inputs["baseline"], guidance=str(audited.path))
    assert (none, strength) == (None, 1.5) and np.abs(matched - plain).mean() > 1
    assert np.array_equal(drawn("nought", model=inputs["baseline"], guidance=str(audited.path), strength="0")[0], plain)
    steered, _ = drawn("other", model=str(tmp_path / "other"), guidance=str(audited.path), strength="2")
    precision = pick_precision(torch.device("cpu"))
    baseline = Denoiser.from_pretrained(inputs["baseline"]).prepare("cpu", precision).eval()
    ratio = DensityRatio.load(audited.path / "ratio", baseline)
    by_hand = sample(other.prepare("cpu", precision), range(4), steps=4, guidance=lambda xt, sigma: 2 * ratio(xt, sigma))
    assert np.abs(steered - by_hand).max() <= 1

    (audited.path / "strength.json").unlink()
    for guidance, sentence in (
        (str(audited.path), "no matched strength"),
        (str(tmp_path / "plain"), "a run of sample"),
        (str(tmp_path / "nowhere"), "no readable config"),
    ):
        with pytest.raises(UserInputError, match=f"guidance.*{sentence}"):
            drawn(f"wrong {sentence}", model=inputs["baseline"], guidance=guidance)


def test_a_model_that_cannot_be_read_is_told_under_the_option_that_names_it(inputs, tmp_path):
    """It said "baseline", an option that `sample` does not have, whichever one had the wrong path."""
    nowhere = str(tmp_path / "nowhere")
    compare = {"baseline": inputs["baseline"], "debiased": inputs["baseline"], "reference": inputs["reference"], "device": "cpu"}
    for kind, options, field in (
        ("sample", SampleOptions(model=nowhere, device="cpu"), "model"),
        ("sample", SampleOptions(model="", device="cpu"), "model"),
        ("compare", CompareOptions(**{**compare, "debiased": nowhere}), "debiased"),
        ("compare", CompareOptions(**{**compare, "baseline": nowhere}), "baseline"),
        ("debias", debias_options({**inputs, "baseline": nowhere}), "baseline"),
    ):
        with pytest.raises(UserInputError) as error:
            run(tmp_path / f"{kind} {field} {bool(getattr(options, field))}", kind, options)
        assert error.value.field == field


def test_wrong_inputs_are_named_before_any_work(inputs, tmp_path):
    np.savez(tmp_path / "large.npz", images=np.zeros((4, 32, 32, 3), np.uint8))
    wrong = {**inputs, "biased": str(tmp_path / "large.npz")}
    folder = RunFolder.create(tmp_path / "run", "audit", AuditOptions(**wrong))
    with pytest.raises(UserInputError, match=r"biased.*32.*16"):
        actions.audit(folder, folder.options)
    other = RunFolder.create(tmp_path / "audit", "audit", AuditOptions(**inputs))
    unfinished = debias_options(inputs, audit=str(other.path))
    with pytest.raises(UserInputError, match=r"audit.*no ratio"):
        actions.debias(RunFolder.create(tmp_path / "early", "debias", unfinished), unfinished)
    (other.path / "ratio").mkdir()
    (other.path / "ratio" / "ratio.json").touch()
    mixed = debias_options({**inputs, "references": 20}, audit=str(other.path))
    with pytest.raises(UserInputError, match=r"audit.*references"):
        actions.debias(RunFolder.create(tmp_path / "debias", "debias", mixed), mixed)
    assert json.loads((tmp_path / "run" / "config.json").read_text())["kind"] == "audit"


def test_images_that_changed_under_a_ratio_are_noticed(inputs, tmp_path):
    """One pixel of one image, a set of the same size: an audit's ratio and a run's own are refused before any work."""
    audited, _ = run(tmp_path / "audit", "audit", AuditOptions(**inputs, scored=100, folds=3, map=False))
    begun, _ = run(tmp_path / "begun", "debias", debias_options(inputs))
    with np.load(inputs["biased"]) as kept:
        arrays = dict(kept)
    arrays["images"][7, 0, 0, 0] ^= 1
    np.savez(inputs["biased"], **arrays)
    of_audit, own = (tmp_path / "new", {"audit": str(audited.path)}, "run the audit again"), (begun.path, {}, "start a new run")
    for folder, changed, fix in (of_audit, own):
        options = debias_options(inputs, **changed)
        with pytest.raises(UserInputError, match=f"biased: its images have changed.*{fix}"):
            actions.debias(RunFolder.create(folder, "debias", options), options)


def test_a_baseline_that_was_trained_again_under_a_ratio_is_noticed(inputs, tmp_path):
    """Another network at the same path: its features are not those that the ratio was fitted to. Guidance reads them off it too."""
    audited, _ = run(tmp_path / "audit", "audit", AuditOptions(**inputs, scored=100, folds=3, map=False))
    torch.manual_seed(1)
    Denoiser.new(PRESETS["tiny"]).save_pretrained(inputs["baseline"])
    guided = SampleOptions(model=inputs["baseline"], guidance=str(audited.path), strength="1", count=2, device="cpu")
    for kind, field, options in (
        ("debias", "audit", debias_options(inputs, audit=str(audited.path))),
        ("preview", "audit", PreviewOptions(**inputs, audit=str(audited.path), strength="1", count=2)),
        ("sample", "guidance", guided),
    ):
        with pytest.raises(UserInputError, match=f"{field}: the baseline has other weights.*run the audit again"):
            run(tmp_path / kind, kind, options)
