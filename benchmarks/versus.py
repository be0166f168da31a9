"""TIW-DSM against the reference alone, draw by draw, on sets whose references are even: the table that docs/RESULTS.md has of them."""

from __future__ import annotations

import numpy as np
from pages import as_table

FEW = 100  # references, up to which images and copies are compared


def table(pairs: list[tuple[int, dict, dict]]) -> str:
    """Markdown of (number of references, row of TIW-DSM, row of the reference alone): in how many draws it is level or ahead."""
    few = [pair for pair in pairs if pair[0] <= FEW]
    kinds = {
        "shares: nearer, or further by no more than sampling explains": (_no_further, pairs),
        "shares: nearer": (lambda a, b: a["fairness_discrepancy"] < b["fairness_discrepancy"], pairs),
        f"Frechet distance lower, up to {FEW} references": (lambda a, b: a["frechet_distance"] < b["frechet_distance"], few),
        f"recall higher, up to {FEW} references": (lambda a, b: a["recall"] > b["recall"], few),
        f"copies less, up to {FEW} references": (lambda a, b: a["closer_to_reference"] < b["closer_to_reference"], few),
    }
    rows = [(name, f"{sum(holds(a, b) for _, a, b in of)} of {len(of)}") for name, (holds, of) in kinds.items()]
    return as_table([("TIW-DSM against the reference alone", "draws"), *rows])


def _no_further(one: dict, other: dict) -> bool:
    """Whether 95 % of redrawn samples leave room for `one` to be as near to even shares as `other`."""
    rng, drawn = np.random.default_rng(0), []
    for row in (one, other):
        shares = np.array(row["shares"]) if "shares" in row else np.array(row["counts"]) / row["n"]
        drawn.append(np.linalg.norm(rng.multinomial(row["n"], shares, 4000) / row["n"] - 1 / len(shares), axis=1))
    return bool(np.quantile(drawn[0] - drawn[1], 0.025) <= 0)
