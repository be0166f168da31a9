"""The map: alignment is exact, layouts repeat, clusters stay apart."""

import numpy as np

from tiw.auditing.map import align, layouts, nearest_across, principal_plane


def clusters(seed=0):
    rng = np.random.default_rng(seed)
    centre = np.repeat(np.eye(8)[:3] * 12, 60, axis=0)
    return (centre + rng.normal(size=(180, 8))).astype(np.float32)


def test_alignment_undoes_a_rotation_and_a_mirror():
    layout = np.random.default_rng(0).normal(size=(50, 2))
    turn = np.array([[np.cos(1.1), -np.sin(1.1)], [np.sin(1.1), np.cos(1.1)]]) @ np.diag([1, -1])
    np.testing.assert_allclose(align(layout @ turn + 3, layout), layout, atol=1e-9)


def test_layouts_repeat_keep_clusters_and_follow_each_other():
    features = [clusters(0), clusters(1)]
    first, second = layouts(features)
    again, _ = layouts(features)
    assert np.array_equal(first, again) and np.abs(first).max() <= 1.2
    group = np.repeat(np.arange(3), 60)
    for layout in (first, second, principal_plane(features[0])):
        centres = np.stack([layout[group == k].mean(0) for k in range(3)])
        nearest = np.linalg.norm(layout[:, None] - centres, axis=2).argmin(1)
        assert (nearest == group).mean() > 0.95
    drift = [np.linalg.norm(first[group == k].mean(0) - second[group == k].mean(0)) for k in range(3)]
    assert max(drift) < 0.5  # the clusters' places are kept


def test_nearest_across_is_brute_force_in_the_components():
    features = clusters(2)[:, :6]  # fewer than the components: distances are those of the standardised features, turned
    first = 100
    found = nearest_across(features, first, k=4)
    x = (features - features.mean(0)) / features.std(0)
    far = np.linalg.norm(x[:, None] - x, axis=2)
    for row, near in enumerate(found):
        others = np.arange(first, len(x)) if row < first else np.arange(first)
        assert far[row, near].tolist() == sorted(far[row, others])[:4]
    few = nearest_across(features, len(features) - 2, k=4)
    assert (few[: len(features) - 2, 2:] == -1).all() and (few[-2:] >= 0).all()
