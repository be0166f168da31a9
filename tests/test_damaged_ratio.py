"""What an audit keeps for the runs that use it, cut off, emptied or edited: made anew or refused, and never a wrong number."""

import json
from dataclasses import asdict

import numpy as np
import pytest
from conftest import blobs

from tiw.debiasing.baseline_check import BaselineCheck
from tiw.debiasing.strength import StrengthMatch
from tiw.errors import UserInputError
from tiw.intervals import Estimate
from tiw.ratio.density_ratio import DensityRatio, fit_density_ratio
from tiw.ratio.features import PixelEncoder, RatioConfig
from tiw.run import inputs
from tiw.run.folder import RunFolder
from tiw.run.options import AuditOptions, DebiasOptions

BROKEN = ["", "{", "[]", "null", "{}", '"text"', "[" * 100_000, "\x00\xff"]
MATCH = StrengthMatch(1.8, Estimate(1.0, (0.8, 1.2)), ((0.0, 0.05), (1.5, 0.95)), (1.5, 2.1))
CHECK = BaselineCheck(0.52, (0.48, 0.56), 240, 480, False, "The baseline's samples look like the biased set.")


def edited(record, **changes) -> str:
    return json.dumps({**asdict(record), **changes})


def test_a_strength_that_was_kept_is_read_back_whole(tmp_path):
    (tmp_path / "strength.json").write_text(json.dumps(asdict(MATCH)))
    assert inputs.kept_match(tmp_path) == MATCH


@pytest.mark.parametrize(
    "text",
    [
        *BROKEN,
        edited(MATCH, strength=None),
        edited(MATCH, strength=float("nan")),
        edited(MATCH, strength="much"),
        edited(MATCH, gap_closed=None),
        edited(MATCH, gap_closed={"value": 1.0, "interval": [0.8]}),
        edited(MATCH, gap_closed={"value": "all", "interval": [0.8, 1.2]}),
        edited(MATCH, trials=[]),
        edited(MATCH, trials=[[0.0]]),
        edited(MATCH, trials=[["a", "b"]]),
        edited(MATCH, interval=[1.0, float("inf")]),
        edited(MATCH, interval=7),
    ],
)
def test_a_damaged_strength_is_none_and_so_matched_anew(text, tmp_path, monkeypatch):
    (tmp_path / "strength.json").write_bytes(text.encode("latin-1"))
    assert inputs.kept_match(tmp_path) is None
    monkeypatch.setattr(inputs, "match_strength", lambda *given, **named: MATCH)
    run = RunFolder.create(tmp_path / "run", "debias", DebiasOptions())
    assert inputs.strength_of(run, tmp_path, "auto", None, None, None, None, 0) == MATCH
    assert inputs.kept_match(tmp_path) == MATCH  # and kept


@pytest.mark.parametrize(
    "text",
    [
        *BROKEN,
        edited(CHECK, auc="high"),
        edited(CHECK, auc=float("nan")),
        edited(CHECK, interval=[0.5]),
        edited(CHECK, interval=None),
        edited(CHECK, differs="no"),
        edited(CHECK, sentence=None),
        edited(CHECK, more=1),
    ],
)
def test_a_damaged_check_of_the_baseline_is_made_anew(text, tmp_path, monkeypatch):
    run = RunFolder.create(tmp_path / "run", "debias", DebiasOptions())
    kept = run.path / "baseline_check.json"
    kept.write_bytes(text.encode("latin-1"))
    monkeypatch.setattr(inputs, "check_baseline", lambda *given, **named: CHECK)
    assert inputs.baseline_check(run, run.options, None, None) == CHECK
    monkeypatch.setattr(inputs, "check_baseline", None)
    assert inputs.baseline_check(run, run.options, None, None) == CHECK  # what is whole is not made again
    assert json.loads(kept.read_text())["n"] == 240


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """(an audit's folder with its ratio, its sets)."""
    sets = blobs(40, 0.2, 0), blobs(20, 0.6, 1)
    ratio = fit_density_ratio(*sets, PixelEncoder(), RatioConfig(sigmas=(0.5, 2.0), folds=2, components=4, reference_draws=1))
    run = RunFolder.create(tmp_path_factory.mktemp("audit"), "audit", AuditOptions())
    inputs.keep_ratio(run.path / "ratio", ratio, *sets)
    return run, sets


def test_what_was_matched_for_other_images_goes_with_their_ratio(whole, tmp_path):
    """An audit that was started again on a folder with other images kept the strength of the first ones."""
    run, sets = whole
    ratio = DensityRatio.load(run.path / "ratio", PixelEncoder())
    places = [tmp_path / name for name in ("strength.json", "baseline_check.json")]
    for images, stay in ((sets, False), (sets, True), ((blobs(41, 0.2, 0), sets[1]), False)):
        for place in places:
            place.write_text("{}")
        inputs.keep_ratio(tmp_path / "ratio", ratio, *images)
        assert [place.exists() for place in places] == [stay, stay]


@pytest.mark.parametrize("option", ["audit", "out"])
@pytest.mark.parametrize(
    ("name", "content"),
    [
        *((name, text.encode("latin-1")) for name in ("ratio.json", "sets.json") for text in BROKEN),
        ("sets.json", None),
        ("sets.json", b'{"biased": 5, "reference": {"n": 20}}'),
        ("ratio.json", b'{"schema_version": 2, "estimator": "magic"}'),
        ("ratio.json", b'{"schema_version": 99, "estimator": "convex"}'),
        ("ratio.safetensors", None),
        ("ratio.safetensors", b""),
        ("ratio.safetensors", b"cut"),
        ("ratio.safetensors", "half"),
    ],
)
def test_a_damaged_ratio_is_named_with_what_to_do(name, content, option, whole, tmp_path):
    """Of the audit that is named, and the run's own."""
    audit, (biased, reference) = whole
    file, before = audit.path / "ratio" / name, (audit.path / "ratio" / name).read_bytes()
    o = DebiasOptions(audit=str(audit.path) if option == "audit" else "")
    run = RunFolder.create(tmp_path / "run", "debias", o) if option == "audit" else audit
    assert inputs._open_or_fit_ratio(run, o, biased, reference, PixelEncoder()).n_folds == 2
    try:
        file.unlink()
        if content is not None:
            file.write_bytes(before[: len(before) // 2] if content == "half" else content)
        fix = "run the audit again" if option == "audit" else "start a new run"
        with pytest.raises(UserInputError, match=rf"{option}: .*ratio (is damaged or|holds a ratio) of another version.*{fix}"):
            inputs._open_or_fit_ratio(run, o, biased, reference, PixelEncoder())
    finally:
        file.write_bytes(before)


@pytest.mark.parametrize("role", ["biased", "reference"])
def test_a_ratio_of_other_images_is_not_used(role, whole, tmp_path):
    audit, sets = whole
    images = dict(zip(("biased", "reference"), sets, strict=True))
    pixels = np.array(images[role].images)
    pixels[3, 0, 0, 0] ^= 1
    images[role] = type(sets[0])(pixels, images[role].attributes, images[role].name)
    o = DebiasOptions(audit=str(audit.path))
    run = RunFolder.create(tmp_path / "run", "debias", o)
    with pytest.raises(UserInputError, match=f"{role}: its images have changed"):
        inputs._open_or_fit_ratio(run, o, images["biased"], images["reference"], PixelEncoder())
