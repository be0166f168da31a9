"""How well held-out images of two sets are told from each other: a classifier two-sample test (Lopez-Paz and Oquab 2017).

A ridge-logistic discriminator on frozen features, cross-fitted; its null distribution comes from permuted labels.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.special import expit
from scipy.stats import rankdata

from ..intervals import Estimate

COMPONENTS = 48
RIDGE = 0.05  # of a standardised component's variance
STEPS, SETTLED = 60, 1e-3  # the order of the scores is settled long before the weights


@dataclass(frozen=True)
class Separation:
    """How well held-out images of two sets can be told from each other. 0.5: not at all; 1: always."""

    auc: float
    interval: tuple[float, float]  # 95 %
    p: float  # of the hypothesis that both sets come from one distribution; by permutation
    n: tuple[int, int]  # images of the first set and of the second


def standardised(sets: list[np.ndarray]) -> list[np.ndarray]:
    """Leading principal components of all sets together, [n, F] -> [n, Q] each, with mean 0 and variance 1."""
    from sklearn.decomposition import PCA

    rows = np.concatenate(sets)
    spread = rows.std(0)
    rows = (rows - rows.mean(0)) / np.where(spread > 1e-6, spread, 1)
    z = PCA(min(COMPONENTS, rows.shape[1], len(rows) - 1), svd_solver="randomized", random_state=0).fit_transform(rows)
    z = z / np.maximum(z.std(0), 1e-6)
    return np.split(z.astype(np.float32), np.cumsum([len(x) for x in sets])[:-1])


def folds_of(n: int, folds: int, rng: np.random.Generator) -> np.ndarray:
    """The fold of each of n rows, [n], as many in each as can be."""
    return rng.permutation(np.arange(n) % folds)


def _held_out(x: np.ndarray, labels: np.ndarray, heavy: np.ndarray, fold: np.ndarray) -> np.ndarray:
    """Scores [P, n] of the rows x [n, D], each by a discriminator that has not seen its fold; labels and weights [P, n].

    Ridge-logistic regressions of all P labellings at once. The curvature of the logistic loss is at most x x' / 4 a row (Boehning and
    Lindsay 1988), so one matrix serves every labelling and every step.
    """
    x = np.c_[x, np.ones(len(x), np.float32)]
    out = np.empty(labels.shape, np.float32)
    for k in range(fold.max() + 1):
        rows = fold != k
        train, y, w = x[rows], labels[:, rows], heavy[:, rows]
        ridge = np.full(x.shape[1], RIDGE * rows.sum() / 4, np.float32)
        ridge[-1] = 1e-6  # the intercept goes where it will
        inverse = np.linalg.inv(train.T @ train / 4 + np.diag(ridge))
        beta = np.zeros((len(labels), x.shape[1]), np.float32)
        for _ in range(STEPS):
            step = ((w * (y - expit(beta @ train.T))) @ train - beta * ridge) @ inverse
            beta += step
            if np.abs(step).max() < SETTLED:
                break
        out[:, ~rows] = beta @ x[~rows].T
    return out


def _places(scores: np.ndarray, positive: np.ndarray, fold_n: np.ndarray, fold_p: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """For scores of negatives [n] and positives [m]: the share of its own fold's other side that each one lies right of, [n] and [m].

    Averages over a fold are its AUC. Scores of several folds are not mixed: each discriminator has a scale and an offset of its own.
    """
    of_n, of_p = np.empty(len(scores)), np.empty(len(positive))
    for k in range(fold_n.max() + 1):
        a, b = scores[fold_n == k], positive[fold_p == k]
        ranks = rankdata(np.r_[a, b])
        of_n[fold_n == k] = 1 - (ranks[: len(a)] - rankdata(a)) / len(b)
        of_p[fold_p == k] = (ranks[len(a) :] - rankdata(b)) / len(a)
    return of_n, of_p


def _aucs(scores: np.ndarray, is_positive: np.ndarray, counts: np.ndarray, fold: np.ndarray) -> np.ndarray:
    """Mean AUC over the folds of P labellings, [P]: scores [P, n], which rows are positive and which count, [P, n]."""
    found = np.empty((len(scores), fold.max() + 1))
    for k in range(fold.max() + 1):
        own = fold == k
        low = np.where(counts[:, own], scores[:, own], -np.inf)  # rows that do not count rank below all others
        ranks = rankdata(low, axis=1)
        out = (~counts[:, own]).sum(1)
        good = is_positive[:, own] & counts[:, own]
        m, n = good.sum(1), (counts[:, own] & ~is_positive[:, own]).sum(1)
        found[:, k] = ((ranks * good).sum(1) - m * out - m * (m + 1) / 2) / (m * n)
    return found.mean(1)


@dataclass(frozen=True)
class Found:
    """A separation with what it was computed from."""

    separation: Separation
    deviation: float  # standard deviation of the AUC
    scores: np.ndarray  # [n + m], held out
    of_n: np.ndarray
    of_p: np.ndarray


def _found(scores: np.ndarray, n: int, fold: np.ndarray, null: np.ndarray) -> Found:
    """From held-out scores [n + m] and the AUCs of permuted labels [P]."""
    of_n, of_p = _places(scores[:n], scores[n:], fold[:n], fold[n:])
    auc = float(np.mean([of_p[fold[n:] == k].mean() for k in range(fold.max() + 1)]))
    # DeLong et al. 1988 for one given discriminator; near 0.5 the folds hang together, which only the permutations know.
    delong = np.sqrt(of_n.var(ddof=1) / n + of_p.var(ddof=1) / (len(scores) - n))
    deviation = float(max(delong, null.std() * 2 * np.sqrt(max(auc * (1 - auc), 0.01))))
    p = float((1 + (null >= auc - 1e-12).sum()) / (1 + len(null)))
    interval = (max(0.0, auc - 1.96 * deviation), min(1.0, auc + 1.96 * deviation))
    return Found(Separation(auc, interval, p, (n, len(scores) - n)), deviation, scores, of_n, of_p)


def separate(a: np.ndarray, b: np.ndarray, fold_a: np.ndarray, fold_b: np.ndarray, permutations: int, rng: np.random.Generator) -> Found:
    """Sets [n, D] and [m, D]. Labels are permuted within folds, so that every fold keeps its numbers."""
    x, fold = np.concatenate([a, b]), np.r_[fold_a, fold_b]
    true = np.r_[np.zeros(len(a), bool), np.ones(len(b), bool)]
    labels = np.stack([true, *(_permuted(true, fold, rng) for _ in range(permutations))])
    every = np.ones_like(labels)
    scores = _held_out(x, labels, every, fold)
    return _found(scores[0], len(a), fold, _aucs(scores, labels, every, fold)[1:])


def _permuted(labels: np.ndarray, fold: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    out = labels.copy()
    for k in range(fold.max() + 1):
        rows = np.flatnonzero(fold == k)
        out[rows] = labels[rng.permutation(rows)]
    return out


@dataclass(frozen=True)
class Pairs:
    """Two models' samples from the same seeds, against one reference, over the same folds."""

    baseline: np.ndarray  # [n, D]
    debiased: np.ndarray  # [n, D]
    reference: np.ndarray  # [m, D]
    fold: np.ndarray  # [n]
    fold_reference: np.ndarray  # [m]

    def test(self, permutations: int, rng: np.random.Generator) -> tuple[Found, Found, Estimate, float]:
        """(baseline against reference, debiased against reference, the first AUC less the second, p of no difference)."""
        sides = [separate(x, self.reference, self.fold, self.fold_reference, permutations, rng) for x in (self.baseline, self.debiased)]
        before, after = sides
        value = before.separation.auc - after.separation.auc
        # DeLong's covariance of two curves over the same references and pairs.
        of_n, of_p = before.of_n - after.of_n, before.of_p - after.of_p
        deviation = np.sqrt(of_n.var(ddof=1) / len(of_n) + of_p.var(ddof=1) / len(of_p))
        null = self._exchanged(permutations, rng)
        deviation = float(max(deviation, null.std()))
        p = float((1 + (np.abs(null) >= abs(value) - 1e-12).sum()) / (1 + len(null)))
        return before, after, Estimate(value, (value - 1.96 * deviation, value + 1.96 * deviation)), p

    def _exchanged(self, permutations: int, rng: np.random.Generator) -> np.ndarray:
        """Differences of the two AUCs [P] when each pair's samples change places with probability one half."""
        n, m = len(self.baseline), len(self.reference)
        x = np.concatenate([self.baseline, self.debiased, self.reference])
        fold = np.r_[self.fold, self.fold, self.fold_reference]
        labels = np.broadcast_to(np.r_[np.zeros(2 * n, bool), np.ones(m, bool)], (permutations, 2 * n + m))
        swapped = rng.random((permutations, n)) < 0.5
        every = np.ones((permutations, m), bool)
        found = []
        for one in (swapped, ~swapped):
            counts = np.concatenate([~one, one, every], axis=1)
            found.append(_aucs(_held_out(x, labels, counts, fold), labels, counts, fold))
        return found[0] - found[1]
