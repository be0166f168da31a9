// Lesson 1: two sets whose truth is known, and what a ratio learnt from them is worth at every noise level. Sets, fits
// and pictures of the chosen level follow every movement at once; the other levels and the models follow when the hand
// rests.
const N_BIASED = 1000,
  TEST = 400,
  GROUPS = ["Left", "Right"];
const HOME = [
  [-2, -2],
  [2, 2],
];
const PRESETS = {
  rare: {
    title: "A rare group",
    about:
      "Same two groups in both sets. The biased set shows the right one in 1 of 10 points, the reference in every second.",
    biased: 0.1,
    reference: 0.5,
    width: 0.5,
    at: [HOME, HOME],
    level: 3,
  },
  moved: {
    title: "Rare and moved",
    about: "The shares differ, and the reference's groups stand elsewhere as well.",
    biased: 0.1,
    reference: 0.5,
    width: 0.5,
    at: [
      HOME,
      [
        [-1, -2],
        [2.6, 1.5],
      ],
    ],
    level: 5,
  },
  same: {
    title: "No difference",
    about:
      "Both sets come from one source. Whatever a ratio shows here comes from chance in the draw. Take few references and see.",
    biased: 0.5,
    reference: 0.5,
    width: 0.5,
    at: [HOME, HOME],
    level: 3,
  },
  chasm: {
    title: "Break it",
    about:
      "A density chasm: narrow groups that do not touch. On clean points nothing mistakes one set for the other, so the ratio learnt there is wildly wrong. Add noise and the chasm closes.",
    biased: 0.1,
    reference: 0.5,
    width: 0.1,
    at: [
      HOME,
      [
        [-1, -2],
        [3, 2],
      ],
    ],
    level: 0,
  },
};
const SHOWN = ["biased", "reference", "width", "at"]; // what a preset's text is about
let state = { preset: "rare", n: 100, seed: 1, drag: "both", ...PRESETS.rare };
let sets = null,
  level_fit = null,
  clean_fit = null,
  fits = [],
  curves = null,
  generation = 0,
  waiting = null;

const mixture = (share, means) => ({ weights: [1 - share, share], means, stds: [state.width, state.width] });
const pair_of = (s) => ({ biased: mixture(s.biased, s.at[0]), reference: mixture(s.reference, s.at[1]) });
// Another number of references is another draw of all of them.
const seed_of_references = () => 1000 * state.seed + state.n;

function draw_sets() {
  const pair = pair_of(state);
  sets = {
    pair,
    biased: sample_mixture(pair.biased, N_BIASED, random_stream(7)),
    reference: sample_mixture(pair.reference, state.n, random_stream(seed_of_references())),
  };
}
function quick_fit(old, level) {
  return fit_ratio(
    sets.biased,
    sets.reference,
    LEVELS[level],
    100 + level,
    old && old.sigma === LEVELS[level] ? old.coefficients : null,
    old ? 3 : 6,
    600,
  );
}

const full_fit = (level) => fit_ratio(sets.biased, sets.reference, LEVELS[level], 100 + level);

// Within a frame of the movement: the sets, the two ratios on screen, their pictures.
function answer() {
  draw_sets();
  level_fit = quick_fit(level_fit, state.level);
  clean_fit = quick_fit(clean_fit, 0);
  draw_planes();
  show_settings();
  clearTimeout(waiting);
  waiting = setTimeout(settle, 160);
}
let asked = false,
  touched = false, // the address is left alone until somebody sets something
  hash = null; // of the address when it was set
function follow() {
  hash = location.hash;
  generation++; // whatever is being worked out for the settings of before stops, and what was answers nothing any more
  curves = null;
  models = {};
  models_are_stale();
  ready_to_reveal();
  if (!asked) {
    asked = true;
    requestAnimationFrame(() => {
      asked = false;
      answer();
    });
  }
}

const pause = () => new Promise((done) => setTimeout(done));
async function settle() {
  const own = ++generation;
  fits = [];
  curves = null;
  for (let level = 0; level < LEVELS.length; level++) {
    fits.push(full_fit(level));
    await pause();
    if (own !== generation) return;
  }
  level_fit = fits[state.level];
  clean_fit = fits[0];
  curves = measure_levels();
  draw_planes();
  draw_curves();
  ready_to_reveal();
  const left = !$("sets").clientWidth || location.hash !== hash; // for another tab or lesson
  if (touched && !left) write_address("ratio", address_fields());
  train(own);
}

// Errors and effective sample sizes at every level, on fresh points of both sets.
function measure_levels() {
  const found = { error: [], ess: [], true_ess: [] };
  LEVELS.forEach((sigma, level) => {
    const random = random_stream(500 + level),
      test = new Float64Array(4 * TEST);
    test.set(add_noise(sample_mixture(sets.pair.biased, TEST, random), sigma, random));
    test.set(add_noise(sample_mixture(sets.pair.reference, TEST, random), sigma, random), 2 * TEST);
    found.error.push(ratio_error((x, y) => read_ratio(fits[level], x, y), sets.pair, test, sigma));
    const noisy = add_noise(sets.biased, sigma, random),
      learnt = [],
      exact = [];
    for (let i = 0; i < noisy.length; i += 2) {
      learnt.push(read_ratio(fits[level], noisy[i], noisy[i + 1]));
      exact.push(log_ratio(sets.pair, noisy[i], noisy[i + 1], sigma));
    }
    found.ess.push(effective_share(learnt));
    found.true_ess.push(effective_share(exact));
  });
  const squares = found.error.map((e) => e ** 2);
  // Of squared errors, integrated over log sigma.
  found.share = squares.reduce((a, b) => a + b, 0) / squares.length / squares[0];
  return found;
}

const changed = () => SHOWN.filter((name) => String(state[name]) !== String(PRESETS[state.preset][name]));
function address_fields() {
  const fields = { preset: state.preset, n: state.n, level: state.level, seed: state.seed };
  for (const name of changed())
    fields[name] = name === "at" ? state.at.flat(2).map((v) => Number(v.toFixed(2))) : state[name];
  return fields;
}
function from_address(fields) {
  const preset = Object.hasOwn(PRESETS, fields.preset) ? fields.preset : "rare",
    base = PRESETS[preset],
    at = (fields.at || "").split(",").map(Number);
  const level = Math.round(bounded(fields.level, 0, LEVELS.length - 1, base.level)),
    n = 25 * Math.round(bounded(fields.n, 25, 400, 100) / 25);
  state = { ...state, ...base, preset, level, n, seed: Math.round(bounded(fields.seed, 1, 9999, 1)) };
  for (const name of ["biased", "reference"]) state[name] = bounded(fields[name], 0.01, 0.99, base[name]);
  state.width = bounded(fields.width, 0.1, 1.2, base.width);
  const inside = at.length === 8 && at.every((v) => Math.abs(v) <= 4);
  state.at = inside
    ? [
        [at.slice(0, 2), at.slice(2, 4)],
        [at.slice(4, 6), at.slice(6, 8)],
      ]
    : base.at;
}

// The state that a preset or a prediction asks for; what it does not name keeps its value.
function choose(preset, more = {}) {
  state = { ...state, ...PRESETS[preset], preset, ...more };
  level_fit = clean_fit = null;
  touched = true;
  follow();
}
