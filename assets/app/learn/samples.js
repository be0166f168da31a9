// The models of lesson 1 and their samples, in small multiples that share their starting noises.
const SAMPLES = 300;
const METHODS = {
  truth: ["The truth", "the reference's own closed-form denoiser"],
  biased: ["Biased model", "trained on the biased set"],
  guidance: ["Guidance", "biased model, steered by the ratio; no training"],
  "dsm-ref": ["DSM(ref)", "trained on the references alone"],
  "iw-dsm": ["IW-DSM", "both sets, one clean weight a point"],
  "weight-only": ["Weights only", "both sets, weights of every level"],
  "correction-only": ["Correction only", "both sets, target moved by the slope"],
  "tiw-dsm": ["TIW-DSM", "weights and correction"],
};
let models = {},
  followed = null; // by method: {points, right, distance, nearer}

function models_are_stale() {
  for (const panel of element.querySelectorAll(".sample")) panel.classList.add("stale");
  if (sets) $("training").textContent = "Waiting until the hand rests";
}

function make_panels() {
  $("panels").innerHTML = Object.entries(METHODS)
    .map(
      ([name, [title, about]]) =>
        `<figure class="sample ${name}" data-method="${name}"><canvas role="img" aria-label="Samples of ${title}, not drawn yet"></canvas><figcaption><b>${title}</b><span>${about}</span><span class="numbers">…</span></figcaption></figure>`,
    )
    .join("");
  for (const canvas of $("panels").querySelectorAll("canvas")) {
    canvas.onpointermove = (e) => follow_noise(canvas, e);
    canvas.onpointerleave = () => {
      followed = null;
      draw_panels();
    };
  }
}

// D at every level for one method, as sample_ode asks for it.
function denoiser_of(name, trained) {
  const row = new Float64Array(WAVES.size);
  if (name === "truth") return (l, x, y) => denoised(sets.pair.reference, x, y, LEVELS[l]);
  if (name !== "guidance") return (l, x, y) => denoise(trained[name][l], x, y, row);
  return (l, x, y) => {
    const [dx, dy] = denoise(trained.biased[l], x, y, row),
      [gx, gy] = ratio_slope(fits[l], x, y);
    return [dx + LEVELS[l] ** 2 * gx, dy + LEVELS[l] ** 2 * gy];
  };
}

async function train(own) {
  models = {};
  const trained = {},
    started = performance.now(),
    names = Object.keys(METHODS);
  for (const name of names) {
    $("training").textContent = `Training ${METHODS[name][0]}`;
    if (OBJECTIVES[name]) {
      trained[name] = [];
      for (let l = 0; l < LEVELS.length; l++) {
        trained[name].push(fit_level(name, l));
        await pause();
        if (own !== generation) return;
      }
    }
    models[name] = judged(sample_ode(denoiser_of(name, trained), LEVELS, SAMPLES, 5));
    draw_panels(name);
    ready_to_reveal();
    await pause();
    if (own !== generation) return;
  }
  $("training").textContent =
    `Trained and sampled in ${((performance.now() - started) / 1000).toFixed(1)} s, n = ${SAMPLES} each`;
}

const fit_level = (name, l) => fit_denoiser(name, sets.biased, sets.reference, LEVELS[l], fits[l], fits[0], 300 + l);

function judged(points) {
  const fresh = sample_mixture(sets.pair.reference, state.n, random_stream(78)),
    target = sample_mixture(sets.pair.reference, SAMPLES, random_stream(79));
  const right = groups(points, sets.pair.reference).reduce((sum, group) => sum + group, 0);
  return { points, right, distance: energy_distance(points, target), nearer: nearer_to(points, sets.reference, fresh) };
}
// How many points lie nearer to one of `a` than to one of as many `b`.
function nearer_to(points, a, b) {
  let count = 0;
  for (let i = 0; i < points.length; i += 2)
    count += nearest(a, points[i], points[i + 1]) < nearest(b, points[i], points[i + 1]);
  return count;
}
function nearest(points, x, y) {
  let least = Infinity;
  for (let i = 0; i < points.length; i += 2) least = Math.min(least, (points[i] - x) ** 2 + (points[i + 1] - y) ** 2);
  return least;
}

function share_said(count) {
  const [low, high] = wilson(count, SAMPLES);
  return `<b>${percent(count / SAMPLES)}</b> <small>${Math.round(100 * low)} to ${Math.round(100 * high)}</small>`;
}

function draw_panels(only = null) {
  for (const figure of element.querySelectorAll(".sample")) {
    const name = figure.dataset.method,
      model = models[name],
      canvas = figure.querySelector("canvas");
    if (!model || (only && name !== only)) continue;
    const sheet = paper(canvas);
    if (!sheet) continue;
    figure.classList.remove("stale");
    frame(sheet, reach_of(0));
    dots(sheet, sets.reference, reach_of(0), colour("reference"), 2.2, 0.22);
    dots(sheet, model.points, reach_of(0), colour("ink"), 1.7, 0.75);
    if (followed !== null) ring_round(sheet, model.points[2 * followed], model.points[2 * followed + 1]);
    const nearer =
      name === "truth" || name === "biased" ? "" : `<span>nearer to a reference ${share_said(model.nearer)}</span>`;
    figure.querySelector(".numbers").innerHTML =
      `<span>right ${share_said(model.right)}</span>${nearer}<span>distance to the truth <b>${plain(Math.max(0, model.distance))}</b></span>`;
    canvas.setAttribute(
      "aria-label",
      `${SAMPLES} samples of ${METHODS[name][0]}: ${percent(model.right / SAMPLES)} in the right group.`,
    );
  }
}
function ring_round({ pen, side }, x, y) {
  const reach = reach_of(0);
  pen.strokeStyle = colour("reweighted");
  pen.lineWidth = 2.5;
  pen.beginPath();
  pen.arc((side * (x + reach)) / (2 * reach), (side * (reach - y)) / (2 * reach), 7, 0, 7);
  pen.stroke();
}
function follow_noise(canvas, event) {
  const model = models[canvas.parentNode.dataset.method],
    reach = reach_of(0),
    side = canvas.clientWidth;
  if (!model) return;
  const x = (2 * reach * event.offsetX) / side - reach,
    y = reach - (2 * reach * event.offsetY) / side;
  let best = 0,
    least = Infinity;
  for (let i = 0; i < model.points.length; i += 2) {
    const d = (model.points[i] - x) ** 2 + (model.points[i + 1] - y) ** 2;
    if (d < least) {
      least = d;
      best = i / 2;
    }
  }
  if (best !== followed) {
    followed = best;
    draw_panels();
  }
}
