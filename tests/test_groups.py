"""Groups where nobody has labels: found, numbered, shown, never corrected."""

import numpy as np
import pytest
from conftest import blobs
from sklearn.metrics import adjusted_rand_score
from test_comparison_run import compare, trained  # noqa: F401  (a fixture)

from tiw.comparing.compare import measure
from tiw.comparing.encoders import fit_encoder
from tiw.comparing.groups import ATTRIBUTE, find_groups
from tiw.errors import UserInputError
from tiw.run import fields, hand_on, names


def kinds(n, seed):
    """Bright and dark images, and which each is."""
    images = blobs(n, 0.3, seed)
    return images.images, (images.attributes["light"] == "bright").to_numpy()


def test_they_are_those_that_are_there_and_hold_for_new_images():
    images, _ = kinds(60, 0)
    found = find_groups(images, fit_encoder(images, "these"))
    assert found.classes == {ATTRIBUTE: ["1", "2"]} and len(found.examples) == 2
    new, truth = kinds(200, 1)
    called = found.predict(new)[ATTRIBUTE]
    assert adjusted_rand_score(truth, called) > 0.95
    assert (called == "1").mean() == pytest.approx(0.7, abs=0.02)  # the largest is the first
    assert all((found.predict(images[list(rows)])[ATTRIBUTE] == str(k)).all() for k, rows in enumerate(found.examples, 1))
    np.testing.assert_allclose(found.scores(new)[ATTRIBUTE].sum(1), 1, rtol=1e-5)


def test_more_images_more_groups_and_the_same_seed_the_same():
    images, _ = kinds(300, 2)
    encoder = fit_encoder(images, "these")
    one, two = find_groups(images, encoder), find_groups(images, encoder)
    assert len(one.classes[ATTRIBUTE]) == 6 and one.examples == two.examples


def test_their_shares_are_counted_and_not_corrected_and_that_is_said():
    images, _ = kinds(200, 3)
    classifier = find_groups(images, fit_encoder(images, "these"))
    found = measure(kinds(60, 4)[0], kinds(60, 5)[0], blobs(39, 0.5, 6), classifier)
    assert found.not_measurable == {ATTRIBUTE: classifier.definition} and all(row["corrected"] is None for row in found.shares)
    assert {row["attribute"] for row in found.differences} == {ATTRIBUTE}


def test_a_comparison_without_labels_shows_what_its_groups_are(trained, tmp_path):  # noqa: F811
    run, result = compare(trained, tmp_path, labels="groups", count=30)
    assert result["attributes"] == [ATTRIBUTE] and "nobody has named" in result["classifier"]["name"]
    with np.load(run.path / names.EXAMPLES) as arrays:
        assert arrays["group 1"].shape[0] >= 5
    pictures = hand_on.example_pictures(run)[12]
    assert any("Unnamed group 1:" in picture.caption for picture in pictures)
    assert fields.findings({"compare": run.result()}, {}, {}, []).fields[5].flags == [result["not_measurable"][ATTRIBUTE]]


def test_groups_need_images():
    images, _ = kinds(49, 0)
    with pytest.raises(UserInputError, match="at least 50"):
        find_groups(images, fit_encoder(images, "these"))
