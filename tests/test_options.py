"""Every option, described once: what it may be is checked when options are made, in Python, by a command and by the page."""

import json
import math
from dataclasses import MISSING, dataclass, fields

import numpy as np
import pytest

from tiw.data import ImageSet
from tiw.described import Checked, Described, check, described, option
from tiw.errors import UserInputError
from tiw.run.folder import RunFolder
from tiw.run.options import OPTIONS, AuditOptions, CompareOptions, DebiasOptions, DemoOptions, PreviewOptions, SplitOptions, TrainOptions

EVERY = [(options, f) for options in OPTIONS.values() for f in fields(options)]
NUMBERS = [(options, f.name) for options, f in EVERY if type(f.default) in (int, float)]
TEXTS = [(options, f.name) for options, f in EVERY if type(f.default) is str]


@pytest.mark.parametrize(
    ("options", "given"),
    [
        (DebiasOptions, {"objective": "tiw_dsm"}),
        (DebiasOptions, {"strength": "-1"}),
        (DebiasOptions, {"strength": "nan"}),
        (DebiasOptions, {"strength": "100.5"}),
        (DebiasOptions, {"strength": "9" * 400}),
        (DebiasOptions, {"reference_share": 1.0}),
        (DebiasOptions, {"steps": -1}),
        (DebiasOptions, {"minutes": 0.0}),
        (DebiasOptions, {"sigma_max": 1.0, "sigma_min": 2.0}),
        (DebiasOptions, {"sigma_scale": 0.0}),
        (DebiasOptions, {"device": "tpu"}),
        (DebiasOptions, {"device": "cuda:"}),
        (PreviewOptions, {"count": 0}),
        (CompareOptions, {"count": 1}),  # of one image there is no covariance
        (AuditOptions, {"resolution": 15}),
        (TrainOptions, {"resolution": 1025}),
        (DebiasOptions, {"resolution": 8, "steps": 5}),
        (AuditOptions, {"folds": 1}),
        (AuditOptions, {"levels": 9}),
        (AuditOptions, {"scored": 2.5}),
        (AuditOptions, {"map": 1}),
        (TrainOptions, {"learning_rate": 0.0}),
        (SplitOptions, {"kind": "twist"}),
        (DemoOptions, {"preset": "slow"}),
    ],
)
def test_a_bad_option_is_refused_when_it_is_given(options, given):
    with pytest.raises(UserInputError) as raised:
        options(**given)
    assert raised.value.field == next(iter(given))


@pytest.mark.parametrize("options", [o for o in OPTIONS.values() if "resolution" in described(o)])
def test_a_resolution_that_is_taken_is_one_that_images_are_resized_to(options):
    """Others had been refused by the run, after it had begun."""
    images = ImageSet(np.zeros((1, 20, 20, 3), np.uint8))
    for side in (16, 1024):
        assert images.resized(options(resolution=side).resolution).images.shape == (1, side, side, 3)
    assert options(resolution=0).resolution == 0


@pytest.mark.parametrize(("options", "name"), NUMBERS, ids=lambda value: getattr(value, "__name__", value))
def test_no_number_may_be_absurd(options, name):
    """NaN, what JSON reads 1e999 as, negative, and thousands of millions of anything that is counted, computed or waited for."""
    for value in (math.nan, json.loads("1e999"), -1, -1e-9, 10**9 if name != "seed" else 2**32, 10**400, True, "5", None):
        with pytest.raises(UserInputError) as raised:
            options(**{name: value})
        assert raised.value.field == name and len(str(raised.value)) < 250


@pytest.mark.parametrize(("options", "name"), TEXTS, ids=lambda value: getattr(value, "__name__", value))
def test_no_text_may_be_endless(options, name):
    for value in ("x" * 5000, "a\0b", "a\nb", 5, None):
        with pytest.raises(UserInputError) as raised:
            options(**{name: value})
        assert raised.value.field == name and len(str(raised.value)) < 250


@pytest.mark.parametrize("options", OPTIONS.values())
def test_every_option_is_described_and_its_default_is_one_that_it_may_be(options):
    assert set(described(options)) == {f.name for f in fields(options)}
    options()
    for about in described(options).values():
        assert about.sentence.endswith(".") and about.sentence[0].isupper() and about.low <= about.high


def test_an_option_that_two_actions_share_means_the_same_in_both():
    """The help may tell them apart; type, words and pattern are one."""
    for name in {f.name for _, f in EVERY} - {"preset", "kind"}:
        kinds = {(type(f.default), (d := f.metadata["described"]).choices, d.pattern, d.unit) for _, f in EVERY if f.name == name}
        assert len(kinds) == 1, name


def test_a_config_with_an_absurd_number_is_a_sentence(tmp_path):
    run = RunFolder.create(tmp_path, "audit", AuditOptions())
    config = json.loads((run.path / "config.json").read_text())
    for text in ("1e999", "NaN", "-1", "1000000000", "[1]", '{"a": 1}'):
        config["options"]["scored"] = 123454321
        (run.path / "config.json").write_text(json.dumps(config).replace("123454321", text))
        with pytest.raises(UserInputError, match="scored"):
            RunFolder.open(tmp_path)


def test_ranges_are_told_as_they_are():
    @dataclass(frozen=True)
    class Options(Checked):
        share: float = option(0.5, "A share.", low=0, high=1, open_high=True)
        rate: float = option(0.1, "A rate.", low=0, open_low=True)
        size: int = option(3, "A size.", low=1, high=1000)
        free: float = 2.0  # not described: not checked

    for given, fix in (({"share": 1}, "from 0 and below 1"), ({"rate": 0}, "above 0"), ({"size": 2000}, "from 1 to 1,000")):
        with pytest.raises(UserInputError, match=f"give a finite number {fix}$"):
            Options(**given)
    assert Options(share=0, rate=1e9, size=1000, free=math.inf).free == math.inf
    assert Options.__dataclass_fields__["free"].default is not MISSING
    check("word", "b", "a", Described("", choices=("a", "b")))
