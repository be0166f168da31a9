"""The names of a run folder's files. Every action writes some of them; who writes and who reads each:

| name | written by | read by |
|---|---|---|
| config.json | folder, before any work | folder; the same command again; the page |
| about.json | folder, on request | the page, reports |
| owner | queue, where the app has several visitors | page |
| status.json | folder, by the process at work | queue, page, command line |
| lock | execute, held while it works | folder: whether a process is at work |
| stop | folder, whoever asks for a stop | the process at work |
| log.txt | queue, execute, inputs | people; queue, for a child's last words |
| result.json | folder, at the end (audit: before the map) | page, command line, reports |
| ratio/, ratio/sets.json | inputs | inputs of this run and of those that name it |
| strength.json, baseline_check.json | inputs | inputs |
| scores.parquet, rest.parquet, map.parquet, near.parquet, *.csv | audit_files | page |
| thumbs.json and its sheets | thumbnails | page |
| pairs.csv | comparison | people |
| predicted.json | comparison: what the classifier calls every sample | page, spot_check |
| spot_check.csv, spot_check/ | spot_check, the page | spot_check |
| examples.npz | comparison | hand_on |
| report.html, report.json, report-NN.csv, report-numbers.csv | audit_files, hand_on | people |
| stated.json | hand_on: what a user said for the report | hand_on, the page |
| samples.npz, sheet.webp | actions.preview, sample, compare | page |
| biased.parquet, reference.parquet | actions.even_out | every command, as a set |
| biased.json, reference.json, heldout.json | actions.make_split | every command, as a set |
| budget.json | train_in_folder, at the start and when it plans again; replay | train_in_folder |
| checkpoint.pt | train_in_folder | train_in_folder, to resume |
| features.safetensors, stages.json | stages, where time comes in slices | stages, in the next slice |
| steps.jsonl, previews.jsonl, previews/ | train_in_folder | page |
| lagging/ | actions.debias: reference images of each group that lags | page |
| trained.json | train_in_folder, when the models are whole | train_in_folder |
| kept/STEP/ | train_in_folder: the moving average on the way, where it was asked for | compare; every command, as a model |
| model/, raw/ | train_in_folder: moving average, last weights | every command, as a model |
"""

from __future__ import annotations

CONFIG = "config.json"
ABOUT = "about.json"
OWNER = "owner"
STATUS = "status.json"
LOCK = "lock"
STOP = "stop"
LOG = "log.txt"
RESULT = "result.json"
RATIO = "ratio"
SETS = "sets.json"  # in RATIO
STRENGTH = "strength.json"
BASELINE_CHECK = "baseline_check.json"
SCORES = "scores.parquet"
REST = "rest.parquet"
MAP = "map.parquet"
NEAR = "near.parquet"
FEATURES = "features.safetensors"  # between two slices of time
STAGES = "stages.json"  # what was done in them
REPORT = "report.html"
SAMPLES = "samples.npz"
SHEET = "sheet.webp"
PAIRS = "pairs.csv"
EXAMPLES = "examples.npz"
REPORT_NUMBERS = "report-numbers.csv"
REPORT_JSON = "report.json"
STATED = "stated.json"  # what its user said for the report
SPOT_CHECK = "spot_check.csv"
SPOT_PICTURES = "spot_check"  # folder
PREDICTED = "predicted.json"
BUDGET = "budget.json"
CHECKPOINT = "checkpoint.pt"
STEPS = "steps.jsonl"
PREVIEWS = "previews.jsonl"
PREVIEW_SHEETS = "previews"  # folder
LAGGING = "lagging"  # folder
TRAINED = "trained.json"
KEPT = "kept"  # folder
MODEL = "model"
RAW = "raw"
