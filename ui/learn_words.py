"""What each tab shows, in two sentences and an equation, behind a fold."""

from __future__ import annotations

WHAT = {
    "data": (
        "Two sets of images: a large one as it is, and a small one as it should be. "
        "The question of every later step is how much more often the small set shows an image than the large one does.",
        "r(x) = p<sub>ref</sub>(x) / p<sub>bias</sub>(x)",
    ),
    "audit": (
        "At each noise level a discriminator that never saw an image says how much more often the reference would show it: its log ratio. "
        "Noise makes the two sets overlap, so that there is something to learn, and the figures below say how far to believe it.",
        "log r(x<sub>t</sub>, σ) = logit d(x<sub>t</sub>, σ), &nbsp; x<sub>t</sub> = x<sub>0</sub> + σ·noise",
    ),
    "debias": (
        "A reference image x<sub>0</sub> is its own target; for a biased image the slope of log r corrects the target, and r weights the "
        "loss. The pictures come from fixed seeds, so that each shows what the same noise becomes.",
        "min<sub>D</sub> &nbsp; π E<sub>ref</sub> [ λ(σ) ‖ D(x<sub>t</sub>; σ) − x<sub>0</sub> ‖² ] + "
        "(1 − π) E<sub>bias</sub> [ r λ(σ) ‖ D(x<sub>t</sub>; σ) − ( x<sub>0</sub> + σ² ∇ log r(x<sub>t</sub>, σ) ) ‖² ]",
    ),
    "compare": (
        "Both models start from the same seeds, and a classifier counts each attribute among their samples. "
        "A share stands with its n and its 95 % interval, and quality stands beside it, since painting badly can reach any share.",
        "discrepancy = ( Σ<sub>k</sub> ( share<sub>k</sub> − target<sub>k</sub> )² )<sup>½</sup>",
    ),
    "learn": (
        "A plane with two sets of points whose truth is known, so that every estimate can be held against it. "
        "Everything is computed in your browser as you move things.",
        "p<sub>σ</sub>(x) = Σ<sub>k</sub> π<sub>k</sub> N(x; μ<sub>k</sub>, (s<sub>k</sub>² + σ²) I), "
        "&nbsp; log r = log p<sub>ref,σ</sub> − log p<sub>bias,σ</sub>",
    ),
}


def what(tab: str) -> str:
    """The fold “What am I looking at?” of a tab."""
    text, equation = WHAT[tab]
    return f'<details class="tiw-what"><summary>What am I looking at?</summary><p>{text}</p><p class="eq">{equation}</p></details>'
