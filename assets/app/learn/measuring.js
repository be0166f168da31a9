// Shares counted by a classifier that errs, and how often their intervals hold the truth.
const Z = 1.959963984540054;

// Wilson's 95 % interval of a share (Wilson 1927).
function wilson(count, n) {
  const p = count / n,
    middle = (p + Z ** 2 / (2 * n)) / (1 + Z ** 2 / n);
  const half = (Z * Math.sqrt((p * (1 - p)) / n + Z ** 2 / (4 * n ** 2))) / (1 + Z ** 2 / n);
  return [Math.max(0, middle - half), Math.min(1, middle + half)];
}

const clamp01 = (value) => Math.min(1, Math.max(0, value));

// The true share from the observed one, given how often the classifier finds the group (sensitivity) and leaves the
// others alone (specificity): Rogan and Gladen 1978. Null where those rates say that it tells nothing.
const tells = (sensitivity, specificity) => sensitivity + specificity - 1 > 1e-9; // 0 comes out as 1e-17, too
function rogan_gladen(observed, sensitivity, specificity) {
  if (!tells(sensitivity, specificity)) return null;
  return clamp01((observed + specificity - 1) / (sensitivity + specificity - 1));
}

// Its 95 % interval when both rates are themselves counted on n_labelled images of each class (Lang and Reiczigel
// 2014). With n_labelled infinite the rates are taken for known, which is what a careless correction does. Any share is
// possible where they say that the classifier tells nothing.
function corrected_interval(count, n, sensitivity, specificity, n_labelled) {
  if (!tells(sensitivity, specificity)) return [0, 1];
  const smooth = (rate) => (n_labelled === Infinity ? rate : (n_labelled * rate + 1) / (n_labelled + 2));
  const spread = (rate) => (n_labelled === Infinity ? 0 : (rate * (1 - rate)) / (n_labelled + 2));
  const size = n + Z ** 2,
    observed = (count + Z ** 2 / 2) / size,
    se = smooth(sensitivity),
    sp = smooth(specificity),
    youden = se + sp - 1;
  const share = (observed + sp - 1) / youden;
  const shift = 2 * Z ** 2 * (share * spread(se) - (1 - share) * spread(sp));
  const half =
    (Z * Math.sqrt((observed * (1 - observed)) / size + share ** 2 * spread(se) + (1 - share) ** 2 * spread(sp))) /
    youden;
  return [clamp01(share + shift - half), clamp01(share + shift + half)];
}

function binomial(n, p, random) {
  let count = 0;
  for (let i = 0; i < n; i++) count += random.uniform() < p;
  return count;
}

// One study: n samples of a model whose true share is `truth`, counted by a classifier with these error rates, which
// are measured on n_labelled images of each class. The shares and intervals that three ways of counting report.
function one_study({ truth, missed, false_alarms, n, n_labelled }, random) {
  const count = binomial(n, truth * (1 - missed) + (1 - truth) * false_alarms, random);
  const sensitivity = 1 - binomial(n_labelled, missed, random) / n_labelled,
    specificity = 1 - binomial(n_labelled, false_alarms, random) / n_labelled;
  const corrected = rogan_gladen(count / n, sensitivity, specificity);
  return {
    raw: { share: count / n, interval: wilson(count, n) },
    known: { share: corrected, interval: corrected_interval(count, n, sensitivity, specificity, Infinity) },
    corrected: { share: corrected, interval: corrected_interval(count, n, sensitivity, specificity, n_labelled) },
  };
}

// The first `kept` studies of many, and the share of all whose interval holds the truth, for each way of counting.
function coverage(setting, studies, kept, seed) {
  const random = random_stream(seed),
    held = { raw: 0, known: 0, corrected: 0 },
    shown = [];
  for (let i = 0; i < studies; i++) {
    const study = one_study(setting, random);
    for (const way of Object.keys(held)) {
      const [low, high] = study[way].interval;
      held[way] += low <= setting.truth && setting.truth <= high;
    }
    if (i < kept) shown.push(study);
  }
  return { shown, held, studies };
}
