// Denoisers D(x; sigma), one for every noise level, fitted by weighted least squares to what each objective asks for;
// and their samples.
const WAVES = make_waves(120, [0.15, 0.4, 1], 11);
const RIDGE = 3e-5;
const ROWS = 2400; // noisy points that a denoiser is fitted to, at every level

// EDM's skip: D = skip x + rest, where the rest is what is fitted (Karras et al. 2022).
const skip_of = (sigma) => 4 / (4 + sigma ** 2);

// The objectives of the lesson. `on`: the points it is fitted to. `weigh`: by the ratio at sigma -> 0 ("clean") or at
// the level itself.
const OBJECTIVES = {
  biased: { on: "biased" },
  "dsm-ref": { on: "reference" },
  "iw-dsm": { on: "both", weigh: "clean" },
  "weight-only": { on: "both", weigh: "level" },
  "correction-only": { on: "both", correct: true },
  "tiw-dsm": { on: "both", weigh: "level", correct: true },
};

// w = r / ((1 - pi) + pi r) from log r; pi is the share of references among the points.
const weight_of = (log_r, share) => Math.exp(log_r - Math.log(1 - share + share * Math.exp(log_r)));

// One level's denoiser {sigma, cx, cy}. `ratio`: fitted at this level; `clean`: at the lowest one. Where an objective
// uses both sets, every point counts once, so that pi is the references' share of all points.
function fit_denoiser(name, biased, reference, sigma, ratio, clean, seed) {
  const { on, weigh, correct } = OBJECTIVES[name],
    random = random_stream(seed),
    skip = skip_of(sigma);
  const share = { biased: 0, reference: 1, both: reference.length / (biased.length + reference.length) }[on];
  const n_biased = ROWS - Math.round(share * ROWS);
  const points = new Float64Array(2 * ROWS),
    weights = new Float64Array(ROWS).fill(1),
    target = [new Float64Array(ROWS), new Float64Array(ROWS)];
  for (let i = 0; i < ROWS; i++) {
    const from = i < n_biased ? biased : reference,
      at = 2 * ((i < n_biased ? i : i - n_biased) % (from.length / 2));
    const x0 = from[at],
      y0 = from[at + 1],
      x = x0 + sigma * random.normal(),
      y = y0 + sigma * random.normal();
    const weight =
      weigh === "clean"
        ? weight_of(read_ratio(clean, x0, y0), share)
        : weigh || correct
          ? weight_of(read_ratio(ratio, x, y), share)
          : 1;
    if (weigh) weights[i] = weight;
    // x0 + sigma^2 grad log w, where grad log w = (1 - pi w) grad log r; w and its slope are constants of the fit
    const [gx, gy] = correct ? ratio_slope(ratio, x, y) : [0, 0],
      gain = sigma ** 2 * (1 - share * weight);
    points[2 * i] = x;
    points[2 * i + 1] = y;
    target[0][i] = x0 + gain * gx - skip * x;
    target[1][i] = y0 + gain * gy - skip * y;
  }
  const rows = design(WAVES, points, scale_of(sigma));
  const [cx, cy] = ridge_least_squares(rows, weights, target, WAVES.size, RIDGE);
  return { sigma, cx, cy };
}

function denoise(model, x, y, row) {
  read_waves(WAVES, scale_of(model.sigma) * x, scale_of(model.sigma) * y, row, 0);
  let dx = skip_of(model.sigma) * x,
    dy = skip_of(model.sigma) * y;
  for (let a = 0; a < WAVES.size; a++) {
    dx += model.cx[a] * row[a];
    dy += model.cy[a] * row[a];
  }
  return [dx, dy];
}

// Samples by the probability-flow ODE, dx = (x - D) / sigma dsigma (EDM, Eq. 4), Heun's rule from level to level and
// one Euler step from the lowest to 0. `step(l, x, y)` is D at level l. The same seed starts from the same noise,
// whatever the model.
function sample_ode(step, levels, n, seed) {
  const random = random_stream(seed),
    points = new Float64Array(2 * n),
    top = levels.length - 1;
  for (let i = 0; i < n; i++) {
    let x = Math.hypot(levels[top], 2) * random.normal(),
      y = Math.hypot(levels[top], 2) * random.normal();
    for (let l = top; l >= 0; l--) {
      const sigma = levels[l],
        next = l ? levels[l - 1] : 0,
        [dx, dy] = step(l, x, y);
      const sx = (x - dx) / sigma,
        sy = (y - dy) / sigma;
      let ex = x + (next - sigma) * sx,
        ey = y + (next - sigma) * sy;
      if (l) {
        const [fx, fy] = step(l - 1, ex, ey);
        ex = x + ((next - sigma) * (sx + (ex - fx) / next)) / 2;
        ey = y + ((next - sigma) * (sy + (ey - fy) / next)) / 2;
      }
      x = ex;
      y = ey;
    }
    points[2 * i] = x;
    points[2 * i + 1] = y;
  }
  return points;
}
