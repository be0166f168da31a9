"""The finding: shares against published formulas, the error over many labels together, the images that show it, the words."""

import numpy as np
import pandas as pd
import pytest
from scipy.stats import false_discovery_control, norm

from tiw.auditing.audit import audit
from tiw.auditing.finding import Pictured, find, holm
from tiw.intervals import Estimate, newcombe, wilson
from tiw.sentences import auc_sentence, percent, times, worth_sentence
from tiw.shares import with_crossings


def labels(**counts):
    """One column a keyword, each a dictionary of value -> count; columns of one length."""
    return pd.DataFrame({name: np.repeat(list(of), list(of.values())) for name, of in counts.items()})


def pictured(biased, reference):
    n = len(biased)
    return (
        Pictured(np.arange(n), np.linspace(-1, 1, n), biased),
        Pictured(n + np.arange(len(reference)), np.linspace(-1, 1, len(reference)), reference),
    )


def test_shares_intervals_and_factor_are_those_of_the_formulas():
    biased, reference = labels(skin={"darker": 140, "lighter": 860}), labels(skin={"darker": 100, "lighter": 100})
    found = find(biased, reference, pictured(biased, reference))
    (rare,), (frequent,) = found.too_rare, found.too_frequent
    assert (rare.value, frequent.value, rare.too) == ("darker", "lighter", "rare")
    assert (rare.biased.share, rare.biased.count, rare.biased.n, rare.biased.interval) == (0.14, 140, 1000, wilson(140, 1000))
    assert rare.difference == Estimate(0.14 - 0.5, newcombe(140, 1000, 100, 200))
    assert rare.factor.value == pytest.approx(0.5 / 0.14)
    half = norm.ppf(0.975) * np.sqrt(1 / 100 - 1 / 200 + 1 / 140 - 1 / 1000)  # Katz, Baptista, Azen & Pike 1978
    assert rare.factor.interval == pytest.approx(np.exp(np.log(0.5 / 0.14) + np.array([-half, half])))
    assert frequent.factor.value == pytest.approx(0.86 / 0.5)
    assert found.sentence == (
        "Too rare in the large set: skin darker 14 % (reference 50 %). Too frequent in the large set: skin lighter 86 % (reference 50 %)."
    )
    assert found.tested == 2 and "3.6 times too rare" in rare.sentence and "140 of 1,000" in rare.sentence


def test_the_largest_difference_comes_first_and_three_are_named():
    biased = labels(**{name: {"yes": k, "no": 1000 - k} for name, k in (("a", 400), ("b", 100), ("c", 300), ("d", 200))})
    reference = labels(**{name: {"yes": 250, "no": 250} for name in "abcd"})
    found = find(biased, reference, pictured(biased, reference))
    assert [d.attribute for d in found.too_rare] == ["b", "d", "c", "a"]
    assert "b yes 10 % (reference 50 %), d yes 20 % (50 %), c yes 30 % (50 %) and 1 more." in found.sentence


def test_examples_show_the_value_in_both_sets():
    rng = np.random.default_rng(0)
    biased, reference = (pd.DataFrame({"hair": rng.choice(["long", "short"], n, p=p)}) for n, p in ((500, (0.8, 0.2)), (200, (0.4, 0.6))))
    (rare,) = find(biased, reference, pictured(biased, reference)).too_rare
    assert len(rare.examples_biased) == len(rare.examples_reference) == 8
    assert (biased["hair"].iloc[list(rare.examples_biased)] == "short").all()
    assert (reference["hair"].iloc[[i - 500 for i in rare.examples_reference]] == "short").all()
    assert np.abs(np.linspace(-1, 1, 500)[list(rare.examples_biased)]).max() < 0.3  # near the median of those that have it


def test_holm_against_its_definition():
    p = [0.01, 0.04, 0.03, 0.005]
    assert holm(p) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([]) == [] and holm([0.4]) == [0.4]
    assert all(a >= b for a, b in zip(holm(p), false_discovery_control(p), strict=True))  # stricter than Benjamini-Hochberg


def test_of_twenty_questions_without_a_difference_one_audit_in_twenty_has_a_finding():
    p = np.random.default_rng(0).random((2000, 20))
    assert np.mean([min(holm(row)) <= 0.05 for row in p]) == pytest.approx(0.05, abs=0.015)
    biased, reference = (
        labels(a={"yes": 150, "no": 150}, b={"yes": 140, "no": 160}),
        labels(a={"yes": 52, "no": 48}, b={"yes": 50, "no": 50}),
    )
    found = find(biased, reference, pictured(biased, reference))
    assert not found.too_rare and not found.too_frequent
    assert found.sentence == "No share of 4 labelled value(s) differs clearly between the two sets."


def test_a_value_that_one_set_lacks_has_no_factor_and_missing_labels_count_nowhere():
    biased, reference = labels(kind={"a": 300}), labels(kind={"a": 50, "b": 50})
    biased.loc[:99, "kind"] = None
    found = find(biased, reference, pictured(biased, reference))
    (rare,) = found.too_rare
    assert (rare.value, rare.factor, rare.biased.n, rare.examples_biased) == ("b", None, 200, ())
    assert "0 % (0 to 2 %, 0 of 200)" in rare.sentence


def test_a_crossing_is_named_where_no_label_alone_differs():
    biased = pd.DataFrame({"skin": ["l", "l", "d", "d"], "hair": ["s", "g", "s", "g"]}).iloc[np.repeat([0, 1, 2, 3], [400, 100, 100, 400])]
    reference = pd.DataFrame({"skin": ["l", "l", "d", "d"], "hair": ["s", "g", "s", "g"]}).iloc[np.repeat([0, 1, 2, 3], 100)]
    both = [with_crossings(x.reset_index(drop=True)) for x in (biased, reference)]
    found = find(*both, pictured(*both), ["skin x hair"])
    assert not found.too_rare and len(found.crossings) == 4
    assert found.sentence.startswith("No single label's share differs clearly, but skin x hair ")


def test_crossings_keep_what_is_missing_missing_and_names_apart():
    crossed = with_crossings(pd.DataFrame({"a": ["u", None], "b": ["v", "w"], "a x b": ["own", "own"]}))
    assert crossed.columns.is_unique and crossed["a x b"].tolist() == ["own", "own"]
    assert crossed["a x b (crossed)"].tolist() == ["u-v", None] and crossed["a"].tolist() == ["u", None]


def test_the_audit_of_labelled_sets_leads_with_the_finding():
    from test_audit import Ratio, images

    biased, reference = images(1000, 0.8, "biased"), images(200, 0.5, "reference")
    biased.attributes["id"] = reference.attributes["id"] = "x"
    biased.attributes["id"] = [f"image {k}" for k in range(1000)]  # names images, not groups
    result = audit(biased, reference, Ratio(biased, reference))
    assert result.finding.sentence.startswith("Too rare in the large set: kind b 20 % (reference 50 %).")
    assert {s.attribute for s in result.shares} == {"kind"}
    assert set(result.finding.too_rare[0].examples_biased) <= set(result.ratio.scored)
    assert result.to_json()["finding"]["too_rare"][0]["biased"]["count"] == 200
    assert [s.count for s in result.shares if s.value == "a"] == [800, 100, None]


def test_numbers_in_words():
    assert times(9.96) == "10 times" and times(2) == "2.0 times" and times(123.4) == "123 times"
    assert auc_sentence(0.716) == "Shown one image of each set, a model picks the right one 72 times in 100 (50 = guessing)."
    assert auc_sentence(Estimate(0.5, (0.4, 0.6))).count("50") == 2
    assert worth_sentence(2000, 846.2) == "2,000 images are worth about 850." and worth_sentence(50, 7.31) == "50 images are worth about 7."
    assert percent(0.004) == "0.4 %" and percent(0) == "0 %" and percent(0.144) == "14 %"


def test_of_each_pair_the_auc_says_how_many_are_put_in_the_right_order():
    from tiw.ratio.diagnostics import auc_delong

    rng = np.random.default_rng(0)
    b, r = rng.normal(0, 1, 500), rng.normal(1, 1, 400)
    right = (r[:, None] > b[None]).mean()
    assert f"{100 * right:.0f} times in 100" in auc_sentence(auc_delong(b, r))


def test_sets_without_labels_have_groups_that_differ():
    from test_audit import unlabelled

    (biased, bare, ratio, seen), rng = unlabelled(), np.random.default_rng(0)
    result = audit(*bare, ratio, features=seen)
    assert not result.finding.labelled and result.finding.sentence.startswith("Too rare in the large set: images like group ")
    rare = result.finding.too_rare[0]
    assert set(biased.attributes["kind"].iloc[list(rare.examples_biased)]) == {"b"}
    ratio.log_ratio_biased, ratio.log_ratio_reference = (
        rng.normal(0, 0.01, x.shape) for x in (ratio.log_ratio_biased, ratio.log_ratio_reference)
    )
    assert audit(*bare, ratio, features=seen).finding is None  # where the verdict sees no difference, no group's is claimed


def test_the_two_values_of_a_label_are_one_question_and_three_are_three():
    biased, reference = labels(a={"u": 130, "v": 170}), labels(a={"u": 56, "v": 44})
    one = find(biased, reference, pictured(biased, reference))
    from scipy.stats import fisher_exact

    p = fisher_exact([[130, 170], [56, 44]]).pvalue
    assert 0.01 < p < 0.05 and one.too_frequent[0].p == one.too_rare[0].p == pytest.approx(p)
    biased, reference = labels(a={"u": 130, "v": 100, "w": 70}), labels(a={"u": 56, "v": 30, "w": 14})
    three = find(biased, reference, pictured(biased, reference))
    assert three.tested == 3 and not three.too_rare  # the same counts of u, adjusted for three questions


def test_values_and_crossings_are_counted_together():
    biased, reference = (with_crossings(labels(a={"u": n, "v": n}, b={"x": n, "y": n})) for n in (50, 20))
    assert find(biased, reference, pictured(biased, reference), ["a x b"]).tested == 4 + 2  # only u-x and v-y are there


def test_groups_that_one_set_lacks_are_said_by_their_shares():
    biased, reference = labels(group={"1": 300}), labels(group={"1": 50, "2": 50})
    found = find(biased, reference, pictured(biased, reference), labelled=False)
    assert found.sentence == (
        "Too rare in the large set: images like group 2, 0 % against 50 % of the reference set. "
        "Too frequent in the large set: images like group 1, about 2.0 times (1.6 to 2.4)."
    )
    none = find(biased, biased, pictured(biased, biased), labelled=False)
    assert none.sentence.startswith("No group of similar images")
