// The density ratio, learnt: at every noise level a discriminator tells noisy references (1) from noisy biased points
// (0), both sets equally heavy, so that its logit is log r (the paper, Eq. 6 and 7). Linear in waves, hence its slope
// is known too.
// Noise levels, those of the slider and the sampler.
const LEVELS = Array.from({ length: 15 }, (_, i) => 0.05 * (15 / 0.05) ** (i / 14));
const RATIO_WAVES = make_waves(48, [0.5, 1], 7);
const RATIO_RIDGE = 1e-3;
const NOISE_DRAWS = 1200; // noisy points of each set that a discriminator sees

const scale_of = (sigma) => 1 / Math.sqrt(4 + sigma ** 2); // brings noisy points to about unit size

// n noisy points: the points in turn, each time with fresh noise.
function noisy_draws(points, n, sigma, random) {
  const found = new Float64Array(2 * n),
    size = points.length / 2;
  for (let i = 0; i < n; i++) {
    const from = i % size;
    found[2 * i] = points[2 * from] + sigma * random.normal();
    found[2 * i + 1] = points[2 * from + 1] + sigma * random.normal();
  }
  return found;
}

// A fitted ratio at one level: {sigma, coefficients}.
// `start` and `rounds`: from an earlier fit, for an answer while something is dragged.
function fit_ratio(biased, reference, sigma, seed, start = null, rounds = 8, n = NOISE_DRAWS) {
  const random = random_stream(seed);
  const points = new Float64Array(4 * n);
  points.set(noisy_draws(biased, n, sigma, random));
  points.set(noisy_draws(reference, n, sigma, random), 2 * n);
  const labels = new Float64Array(2 * n).fill(1, n),
    weights = new Float64Array(2 * n).fill(0.5 / n);
  const rows = design(RATIO_WAVES, points, scale_of(sigma));
  return { sigma, coefficients: ridge_logistic(rows, weights, labels, RATIO_WAVES.size, RATIO_RIDGE, start, rounds) };
}

// log r at a point.
function read_ratio(ratio, x, y) {
  const s = scale_of(ratio.sigma),
    c = ratio.coefficients,
    w = RATIO_WAVES;
  let sum = c[0] + c[1] * s * x + c[2] * s * y;
  for (let k = 0; k < w.fx.length; k++) sum += c[k + 3] * Math.cos(s * (w.fx[k] * x + w.fy[k] * y) + w.phase[k]);
  return sum;
}

// grad log r at a point.
function ratio_slope(ratio, x, y) {
  const s = scale_of(ratio.sigma),
    c = ratio.coefficients,
    w = RATIO_WAVES;
  let gx = c[1],
    gy = c[2];
  for (let k = 0; k < w.fx.length; k++) {
    const slope = -c[k + 3] * Math.sin(s * (w.fx[k] * x + w.fy[k] * y) + w.phase[k]);
    gx += slope * w.fx[k];
    gy += slope * w.fy[k];
  }
  return [s * gx, s * gy];
}

// Root mean square error of log r over noisy points of both sets in equal parts.
function ratio_error(log_r, pair, points, sigma) {
  let sum = 0;
  for (let i = 0; i < points.length; i += 2)
    sum += (log_r(points[i], points[i + 1]) - log_ratio(pair, points[i], points[i + 1], sigma)) ** 2;
  return Math.sqrt(sum / (points.length / 2));
}
