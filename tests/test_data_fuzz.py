"""Files that were cut, mixed or altered at random: a set or one sentence, never a traceback, never another file than that given."""

import io
import json
import zipfile

import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, given, seed, settings
from hypothesis import strategies as st
from PIL import Image

from tiw.data import load_images
from tiw.data.cifar import restricted_loads
from tiw.data.decode import BadImage, Decoded, WrongSize, decode
from tiw.data.labels import from_columns, text_of, tidy
from tiw.errors import UserInputError

FAST = settings(max_examples=60, deadline=None, database=None, suppress_health_check=list(HealthCheck), derandomize=True)


def image(format="PNG", side=16, **how):
    out = io.BytesIO()
    Image.fromarray(np.random.default_rng(side).integers(0, 256, (side, side, 3), dtype=np.uint8)).save(out, format, **how)
    return out.getvalue()


def zipped(files):
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in files.items():
            archive.writestr(name, data)
    return out.getvalue()


def saved(write, *args, **how):
    out = io.BytesIO()
    write(out, *args, **how)
    return out.getvalue()


PIXELS = np.random.default_rng(0).integers(0, 256, (3, 16, 16, 3), dtype=np.uint8)
TABLE = "file_name,sex\na/1.png,f\nb/2.png,\n"
JSONL = json.dumps({"file_name": "a/1.png", "k": 1}) + "\n" + json.dumps({"file_name": "b/2.png"})
TWO = {"a/1.png": image(), "b/2.png": image("JPEG")}
# A small file of every form, from which others are made by cutting and altering.
CORPUS = {
    "images.zip": zipped(TWO),
    "table.zip": zipped(TWO | {"metadata.csv": TABLE}),
    "lines.zip": zipped(TWO | {"metadata.jsonl": JSONL}),
    "edm.zip": zipped(TWO | {"dataset.json": json.dumps({"labels": [["a/1.png", 0], ["b/2.png", 1]]})}),
    "celeba.zip": zipped({"000001.jpg": image("JPEG"), "list_attr_celeba.txt": "1\nMale\n000001.jpg -1\n"}),
    "a.npz": saved(np.savez, images=PIXELS, sex=np.array(["f", "m", "f"])),
    "packed.npz": saved(np.savez_compressed, arr_0=PIXELS, arr_1=np.arange(3)),
    "a.npy": saved(np.save, PIXELS),
    "a.parquet": saved(lambda out: pd.DataFrame({"image": [image(), image("WEBP")], "sex": ["f", None]}).to_parquet(out)),
    "rows.json": json.dumps({"schema_version": 1, "source": "nowhere", "source_key": "", "rows": [0]}).encode(),
    "cifar-10-python.tar.gz": b"\x1f\x8b\x08\x00" + bytes(40),
}
ENCODED = [image(format) for format in ("PNG", "JPEG", "GIF", "WEBP", "BMP", "TIFF", "PPM", "JPEG2000", "AVIF")]
PICKLES = [
    b"\x80\x02}(U\x04dataU\x03abcU\x06labels](K\x01K\x02eu.",
    b"\x80\x02}(U\x04datacnumpy.core.multiarray\n_reconstruct\n(cnumpy\nndarray\nK\x00\x85U\x01btRu.",
]


@st.composite
def altered(draw, originals):
    """One of the originals with some bytes changed, a part cut out or written twice, or its end gone."""
    data = bytearray(draw(st.sampled_from(originals)))
    for _ in range(draw(st.integers(0, 6))):
        data[draw(st.integers(0, len(data) - 1))] = draw(st.integers(0, 255))
    start, length = draw(st.integers(0, len(data))), draw(st.integers(0, 64))
    what = draw(st.sampled_from(["keep", "cut", "twice", "end", "insert"]))
    part = bytes(data[start : start + length])
    if what == "cut":
        del data[start : start + length]
    elif what == "end":
        del data[max(start, 1) :]
    elif what != "keep":
        data[start:start] = part if what == "twice" else draw(st.binary(max_size=16))
    return bytes(data) or b"x"


@pytest.mark.parametrize("name", CORPUS)
def test_every_form_of_the_corpus_loads_or_is_refused_in_a_sentence(tmp_path, name):
    (tmp_path / name).write_bytes(CORPUS[name])
    outcome(tmp_path / name)


def outcome(path):
    """A set of images, or one line that says why there is none."""
    before = sorted(p.name for p in path.parent.iterdir())
    try:
        found = load_images(path, 16, skip_bad=True)
    except UserInputError as problem:
        assert "\n" not in str(problem) and "Traceback" not in str(problem)
    else:
        assert len(found) == len(found.sources) and found.images.shape[1:] == (16, 16, 3)
    assert sorted(p.name for p in path.parent.iterdir()) == before


@pytest.mark.parametrize("name", CORPUS)
@pytest.mark.filterwarnings("ignore")  # of numpy and zipfile, about the damage
def test_altered_files(tmp_path_factory, name):
    folder = tmp_path_factory.mktemp("fuzz")

    @seed(1)
    @FAST
    @given(altered([CORPUS[name]]))
    def run(data):
        (folder / name).write_bytes(data)
        outcome(folder / name)

    run()


@pytest.mark.filterwarnings("ignore")
@settings(FAST, max_examples=200)
@given(altered(ENCODED), st.sampled_from([0, 16]))
def test_altered_images(data, resolution):
    assert isinstance(decode("x", lambda: data, resolution), (Decoded, WrongSize, BadImage))


@settings(FAST, max_examples=300)
@given(st.one_of(altered(PICKLES), st.binary(min_size=1, max_size=60).map(lambda data: b"\x80\x02" + data + b".")))
def test_altered_pickles(data):
    try:
        restricted_loads(data, "x", "path")
    except UserInputError as problem:
        assert "\n" not in str(problem)


VALUES = st.one_of(
    st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=8), st.binary(max_size=4), st.lists(st.integers(), max_size=2)
)


@settings(FAST, max_examples=60)
@given(st.dictionaries(st.text(max_size=5), st.lists(VALUES, min_size=3, max_size=3), min_size=1, max_size=3))
def test_any_values_become_labels_that_can_be_written(columns):
    table, notes = from_columns(columns)
    assert all(isinstance(note, str) for note in notes)
    if table is not None:
        assert tidy(table).equals(table) and table.columns.is_unique
        table.to_csv().encode()
        table.to_parquet(io.BytesIO())


@settings(FAST, max_examples=200)
@given(VALUES.filter(lambda value: not isinstance(value, list)))
def test_a_label_said_twice_is_the_same(value):
    once = text_of(value)
    assert once is None or (text_of(once) == once and once.strip() == once != "")
