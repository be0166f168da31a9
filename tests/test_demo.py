"""The promise of the quick demo, kept with everything computed (make test-slow; about five minutes on 2 cores)."""

import pytest

from tiw import commands
from tiw.options import DemoOptions
from tiw.runs import RunFolder


@pytest.mark.slow
def test_the_quick_demo_closes_most_of_the_gap(tmp_path):
    result = commands.demo(RunFolder.create(tmp_path, "demo", DemoOptions()), DemoOptions())
    assert result["fairness_discrepancy"]["fall"] >= 0.8
    assert result["frechet_distance"]["debiased"]["value"] <= result["frechet_distance"]["baseline"]["value"]
