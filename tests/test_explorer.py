"""What a selection in the audit explorer becomes: a zip of its images, and a larger reference set."""

import io
import zipfile

import numpy as np
import pandas as pd
import pytest
from conftest import blobs
from PIL import Image

from tiw.data import load_images
from tiw.errors import UserInputError
from tiw.options import AuditOptions
from tiw.runs import RunFolder


@pytest.fixture
def audited(tmp_path, monkeypatch):
    """A finished audit of 40 biased and 30 reference images, as the page's store sees it."""
    monkeypatch.setenv("TIW_HOME", str(tmp_path / "home"))
    from ui import store

    store.jobs.cache_clear()
    for name, images in (("biased", blobs(40, 0.2, 0)), ("reference", blobs(30, 0.6, 1))):
        np.savez(tmp_path / f"{name}.npz", images=images.images, light=images.attributes["light"].to_numpy(str))
    options = AuditOptions(biased=str(tmp_path / "biased.npz"), reference=str(tmp_path / "reference.npz"))
    folder = RunFolder.create(store.jobs().folder / ("a" * 32), "audit", options)
    pd.DataFrame({"item": range(70), "log_ratio_0": np.linspace(-1, 1, 70)}).to_parquet(folder.path / "scores.parquet")
    folder.write_result({"biased": {"n": 40}, "reference": {"n": 30}})
    folder.write_status(state="finished")
    yield store.open_run("a" * 32)
    store.jobs().close()
    store.jobs.cache_clear()


def test_the_zip_holds_the_chosen_images_and_their_scores(audited):
    from ui import explorer

    with explorer.zipped(audited, [3, 45, 999, "x"]) as packed, zipfile.ZipFile(packed) as archive:
        assert archive.namelist() == ["biased-000003.png", "reference-000005.png", "scores.csv"]
        image = np.asarray(Image.open(io.BytesIO(archive.read("biased-000003.png"))))
        assert pd.read_csv(io.BytesIO(archive.read("scores.csv")))["item"].tolist() == [3, 45]
    assert np.array_equal(image, load_images(audited.options["biased"]).images[3])


def test_moved_images_leave_the_biased_set(audited):
    from ui import explorer

    before = load_images(audited.options["biased"])
    sets = explorer.with_more_references(audited, [7, 2, 7, 50])
    biased, reference = load_images(sets["biased"]), load_images(sets["reference"])
    assert len(biased) == 38 and len(reference) == 32 and sets["references"] == 0
    assert np.array_equal(reference.images[30:], before.images[[2, 7]])
    assert reference.attributes["light"].iloc[30:].tolist() == before.attributes["light"].iloc[[2, 7]].tolist()
    assert np.array_equal(biased.images, np.delete(before.images, [2, 7], 0))
    again = AuditOptions(**sets)  # the options of the next audit
    assert again.biased == sets["biased"]
    with pytest.raises(UserInputError, match="selection"):
        explorer.with_more_references(audited, [50])
