"""Named streams: the same again for a name, another for every other name, key and seed, and none that plain seeds have."""

import ast
from pathlib import Path

import numpy as np

from tiw.ratio.features import item_noise
from tiw.streams import STREAMS, stream

ROOT = Path(__file__).parents[1]


def test_every_name_has_numbers_of_its_own():
    drawn = {
        tuple(stream(seed, name, *key).integers(2**63, size=4)) for seed in (0, 1) for name in STREAMS for key in ((), (0,), (1,), (0, 1))
    }
    assert len(drawn) == 2 * len(STREAMS) * 4
    assert len(set(STREAMS)) == len(STREAMS)
    for name in STREAMS:
        assert np.array_equal(stream(3, name).random(5), stream(3, name).random(5))


def test_no_name_shares_an_images_noise():
    """[seed, 1] was the draw of the scored images and the noise of image 1."""
    noises = {tuple(item_noise(0, item, (4,))) for item in range(20)}
    assert noises.isdisjoint(tuple(stream(0, name).standard_normal((4,)).astype(np.float32)) for name in STREAMS)


def test_nothing_in_the_library_makes_a_stream_from_a_number():
    """`default_rng([seed, 5])` and the like. Only an item's own noise has its item for a key."""
    for path in (
        path for room in ("model", "ratio", "auditing", "debiasing", "comparing", "run") for path in (ROOT / "tiw" / room).rglob("*.py")
    ):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call) and getattr(node.func, "attr", "") == "default_rng" and node.args:
                key = node.args[0]
                assert not (isinstance(key, ast.List) and any(isinstance(x, ast.Constant) for x in key.elts)), (
                    f"{path.name}, line {node.lineno}"
                )
