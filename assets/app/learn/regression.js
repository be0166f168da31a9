// Everything that learns in the lesson is linear in fixed random waves, so that it is fitted at once: least squares for
// a denoiser, logistic regression for a discriminator (random Fourier features: Rahimi and Recht 2007).

// Waves cos(fx x + fy y + phase): `scales` are the length scales, taken in turn. One constant and the two coordinates
// come first.
function make_waves(n, scales, seed) {
  const random = random_stream(seed);
  const waves = { size: n + 3, fx: new Float64Array(n), fy: new Float64Array(n), phase: new Float64Array(n) };
  for (let k = 0; k < n; k++) {
    waves.fx[k] = random.normal() / scales[k % scales.length];
    waves.fy[k] = random.normal() / scales[k % scales.length];
    waves.phase[k] = 2 * Math.PI * random.uniform();
  }
  return waves;
}

function read_waves(waves, x, y, out, at) {
  out[at] = 1;
  out[at + 1] = x;
  out[at + 2] = y;
  for (let k = 0; k < waves.fx.length; k++)
    out[at + 3 + k] = Math.cos(waves.fx[k] * x + waves.fy[k] * y + waves.phase[k]);
}

// [n x size], rows of points times `scale`.
function design(waves, points, scale) {
  const rows = new Float64Array((points.length / 2) * waves.size);
  for (let i = 0; i < points.length / 2; i++)
    read_waves(waves, scale * points[2 * i], scale * points[2 * i + 1], rows, i * waves.size);
  return rows;
}

// sum_i weights_i row_i row_i^T, the lower triangle of [size x size].
function weighted_gram(rows, weights, size) {
  const gram = new Float64Array(size * size),
    n = weights.length;
  for (let i = 0; i < n; i++) {
    const at = i * size,
      w = weights[i];
    if (w === 0) continue;
    for (let a = 0; a < size; a++) {
      const scaled = w * rows[at + a],
        line = a * size;
      for (let b = 0; b <= a; b++) gram[line + b] += scaled * rows[at + b];
    }
  }
  return gram;
}

function weighted_sum(rows, weights, values, size) {
  const sum = new Float64Array(size);
  for (let i = 0; i < weights.length; i++) {
    const w = weights[i] * values[i],
      at = i * size;
    for (let a = 0; a < size; a++) sum[a] += w * rows[at + a];
  }
  return sum;
}

// The lower triangle of L with L L^T = gram, in place.
function cholesky(gram, size) {
  for (let a = 0; a < size; a++) {
    for (let b = 0; b <= a; b++) {
      let sum = gram[a * size + b];
      for (let k = 0; k < b; k++) sum -= gram[a * size + k] * gram[b * size + k];
      gram[a * size + b] = a === b ? Math.sqrt(Math.max(sum, 1e-12)) : sum / gram[b * size + b];
    }
  }
  return gram;
}

function solve_cholesky(lower, right, size) {
  const x = Float64Array.from(right);
  for (let a = 0; a < size; a++) {
    for (let k = 0; k < a; k++) x[a] -= lower[a * size + k] * x[k];
    x[a] /= lower[a * size + a];
  }
  for (let a = size - 1; a >= 0; a--) {
    for (let k = a + 1; k < size; k++) x[a] -= lower[k * size + a] * x[k];
    x[a] /= lower[a * size + a];
  }
  return x;
}

// Least squares of several targets on the rows, each row with its weight (their sum is made 1), the waves' coefficients
// held small by `ridge`.
function ridge_least_squares(rows, weights, targets, size, ridge) {
  const total = weights.reduce((sum, w) => sum + w, 0),
    shares = weights.map((w) => w / total);
  const gram = weighted_gram(rows, shares, size);
  for (let a = 0; a < size; a++) gram[a * size + a] += a ? ridge : 1e-9;
  const lower = cholesky(gram, size);
  return targets.map((target) => solve_cholesky(lower, weighted_sum(rows, shares, target, size), size));
}

// Logistic regression by Newton's method: labels 0 or 1, weights that sum to 1, a ridge on all but the constant. A step
// that makes things worse is halved, which it needs where the two classes do not touch.
function ridge_logistic(rows, weights, labels, size, ridge, start = null, rounds = 8) {
  const n = weights.length,
    slopes = new Float64Array(n),
    curves = new Float64Array(n);
  let found = start ? Float64Array.from(start) : new Float64Array(size),
    now = logistic_loss(rows, weights, labels, size, ridge, found);
  for (let round = 0; round < rounds; round++) {
    for (let i = 0; i < n; i++) {
      const d = 1 / (1 + Math.exp(-now.logits[i]));
      slopes[i] = labels[i] - d;
      curves[i] = weights[i] * Math.max(d * (1 - d), 1e-6);
    }
    const gram = weighted_gram(rows, curves, size),
      right = weighted_sum(rows, weights, slopes, size);
    for (let a = 0; a < size; a++) {
      gram[a * size + a] += a ? ridge : 1e-9;
      if (a) right[a] -= ridge * found[a];
    }
    const step = solve_cholesky(cholesky(gram, size), right, size),
      before = now.loss;
    for (let part = 1; part > 1e-3; part /= 2) {
      const tried = found.map((value, a) => value + part * step[a]),
        then = logistic_loss(rows, weights, labels, size, ridge, tried);
      if (then.loss <= now.loss) {
        found = tried;
        now = then;
        break;
      }
    }
    if (before - now.loss < 1e-7) break;
  }
  return found;
}

function logistic_loss(rows, weights, labels, size, ridge, coefficients) {
  const logits = new Float64Array(weights.length);
  let loss = 0;
  for (let i = 0; i < logits.length; i++) {
    let logit = 0;
    for (let a = 0; a < size; a++) logit += coefficients[a] * rows[i * size + a];
    logits[i] = logit;
    loss += weights[i] * (Math.max(logit, 0) - labels[i] * logit + Math.log1p(Math.exp(-Math.abs(logit))));
  }
  for (let a = 1; a < size; a++) loss += (ridge / 2) * coefficients[a] ** 2;
  return { loss, logits };
}
