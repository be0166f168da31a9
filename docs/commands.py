"""Write docs/COMMANDS.md from the options as they are described in tiw/run/options.py; a test holds the page to them.

python docs/commands.py
"""

from __future__ import annotations

import inspect
import sys
from dataclasses import fields
from pathlib import Path

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))
PAGE = ROOT / "docs" / "COMMANDS.md"
TOP = """# Commands

Every action is a command. Most are also a button, and the parts of the method are Python calls. A command and its button write the same
`config.json` into a run folder, so each can go on with what the other has begun. **The same command on the same `--out` resumes**
`debias`, `train` and `demo`, and starts any other action again. Ctrl-C stops after the current step, and a training keeps all its steps.

    python -m tiw demo --out runs/demo                                                     # the whole loop on the embedded demo
    python -m tiw audit   --out runs/audit   --biased large.zip --reference small.zip --baseline MODEL
    python -m tiw debias  --out runs/debias  --biased large.zip --reference small.zip --baseline MODEL --audit runs/audit
    python -m tiw compare --out runs/compare --debiased runs/debias/model

What an image set may be is in [IMAGES.md](IMAGES.md). `--name` and `--note` describe a run. A second round takes the first one's samples as
the biased set:

    python -m tiw sample --out runs/samples --model runs/debias/model --count 2000
    python -m tiw debias --out runs/again --biased runs/samples/samples.npz --reference small.zip --baseline runs/debias/model

These commands work on finished runs. Only `replay` makes a run folder of its own. Each lists its options with `--help`.

    python -m tiw report     runs/audit runs/debias runs/compare   # one report to hand on, with tables and a model card
    python -m tiw spot-check runs/compare                          # samples for a person to label; then, what the labels say
    python -m tiw replay     runs/debias --out runs/replayed       # the same run again from config.json alone, and what differs
    python -m tiw push       runs/debias --to OWNER/NAME           # the debiased pipeline to a hub, as a private repository

`report --about about.toml` adds what only you know, such as purpose and origin. A report that is made again still says it.
`python -m tiw app` starts the page.
"""


def page() -> str:
    """The whole page."""
    from tiw.described import described
    from tiw.run.options import OPTIONS

    parts = [TOP]
    for kind, options in OPTIONS.items():
        about = described(options)
        parts.append(f"\n## {kind}\n\n{inspect.cleandoc(options.__doc__)}\n\n| option | default | |\n|---|---|---|\n")
        for field in fields(options):
            default = field.default
            if isinstance(default, bool):
                flag = field.name.replace("_", "-")
                shown = f"`--{flag}` or `--no-{flag}`" if default else f"`--{flag}`"
                parts.append(f"| {shown} | {'on' if default else 'off'} | {cell(about[field.name].sentence)} |\n")
            else:
                parts.append(f"| `--{field.name.replace('_', '-')}` | {cell(str(default))} | {cell(about[field.name].sentence)} |\n")
    return "".join(parts)


def cell(text: str) -> str:
    """Text that does not end its cell."""
    return text.replace("|", "\\|")


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
