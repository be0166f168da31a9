"""The promise of the quick demo, kept with everything computed (make test-slow; about five minutes on 2 cores)."""

import pytest

from tiw.run import actions
from tiw.run.folder import RunFolder
from tiw.run.options import DemoOptions


@pytest.mark.slow
def test_the_quick_demo_closes_most_of_the_gap(tmp_path):
    result = actions.demo(RunFolder.create(tmp_path, "demo", DemoOptions()), DemoOptions())
    assert result["fairness_discrepancy"]["fall"] >= 0.8
    assert result["frechet_distance"]["debiased"]["value"] <= result["frechet_distance"]["baseline"]["value"]
