// Gaussian mixtures in the plane. Their noisy densities, denoisers and ratios are closed forms, the same as in
// tiw/toys.py, so the lesson can hold every estimate against the truth. A mixture: {weights: [K], means: [[x, y]],
// stds: [K]}. Points: [x0, y0, x1, y1, ...].

function sample_mixture(mixture, n, random) {
  const points = new Float64Array(2 * n);
  for (let i = 0; i < n; i++) {
    let k = 0,
      left = random.uniform();
    while (k < mixture.weights.length - 1 && (left -= mixture.weights[k]) > 0) k++;
    points[2 * i] = mixture.means[k][0] + mixture.stds[k] * random.normal();
    points[2 * i + 1] = mixture.means[k][1] + mixture.stds[k] * random.normal();
  }
  return points;
}

function add_noise(points, sigma, random) {
  return points.map((value) => value + sigma * random.normal());
}

function log_components(mixture, x, y, sigma) {
  return mixture.weights.map((weight, k) => {
    const variance = mixture.stds[k] ** 2 + sigma ** 2;
    const squared = (x - mixture.means[k][0]) ** 2 + (y - mixture.means[k][1]) ** 2;
    return Math.log(weight) - squared / (2 * variance) - Math.log(2 * Math.PI * variance);
  });
}

function log_sum_exp(values) {
  const most = Math.max(...values);
  return most === -Infinity ? most : most + Math.log(values.reduce((sum, value) => sum + Math.exp(value - most), 0));
}

function log_density(mixture, x, y, sigma) {
  return log_sum_exp(log_components(mixture, x, y, sigma));
}

// E[x0 given xt].
function denoised(mixture, x, y, sigma) {
  const logs = log_components(mixture, x, y, sigma),
    total = log_sum_exp(logs);
  let px = 0,
    py = 0;
  logs.forEach((log, k) => {
    const share = Math.exp(log - total),
      [mx, my] = mixture.means[k],
      gain = mixture.stds[k] ** 2 / (mixture.stds[k] ** 2 + sigma ** 2);
    px += share * (mx + gain * (x - mx));
    py += share * (my + gain * (y - my));
  });
  return [px, py];
}

// log p_ref(xt) / p_bias(xt) of pair = {biased, reference}.
function log_ratio(pair, x, y, sigma) {
  return log_density(pair.reference, x, y, sigma) - log_density(pair.biased, x, y, sigma);
}

// The group of each point: the mode of the mixture that most likely made it.
function groups(points, mixture) {
  const found = new Uint8Array(points.length / 2);
  for (let i = 0; i < found.length; i++) {
    const logs = log_components(mixture, points[2 * i], points[2 * i + 1], 0);
    found[i] = logs.indexOf(Math.max(...logs));
  }
  return found;
}

// (sum w)^2 / sum w^2 over the points, as a share of their number; the logs of the weights are given.
function effective_share(log_weights) {
  const most = Math.max(...log_weights);
  let sum = 0,
    squares = 0;
  for (const log of log_weights) {
    const w = Math.exp(log - most);
    sum += w;
    squares += w * w;
  }
  return sum ** 2 / squares / log_weights.length;
}

// Energy distance of two sets of points, 2 E|a - b| - E|a - a'| - E|b - b'| without a point's distance to itself
// (Szekely and Rizzo).
function energy_distance(a, b) {
  return 2 * mean_distance(a, b, false) - mean_distance(a, a, true) - mean_distance(b, b, true);
}
function mean_distance(a, b, same) {
  let sum = 0;
  for (let i = 0; i < a.length; i += 2)
    for (let j = 0; j < b.length; j += 2) sum += Math.hypot(a[i] - b[j], a[i + 1] - b[j + 1]);
  return sum / ((a.length / 2) * (b.length / 2 - (same ? 1 : 0)));
}
