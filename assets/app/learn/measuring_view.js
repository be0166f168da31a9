// Lesson 2: a classifier counts a group among samples and errs; three ways to report the share, and how often their
// interval holds the truth.
const STUDIES = 1000,
  KEPT = 40,
  N = [50, 100, 200, 400, 700, 1000, 2000, 3500, 5000],
  LABELLED = [25, 50, 100, 200, 400, 800, 1600];
const CASES = {
  usual: {
    title: "A usual classifier",
    about: "It misses 1 in 10 of the group and calls 1 in 20 of the others by its name.",
    truth: 0.2,
    missed: 0.1,
    false_alarms: 0.05,
    n: 1000,
    n_labelled: 200,
  },
  perfect: {
    title: "A perfect one",
    about: "Without errors all three ways agree, and each interval contains the truth in 95 of 100 studies.",
    truth: 0.2,
    missed: 0,
    false_alarms: 0,
    n: 1000,
    n_labelled: 200,
  },
  rare: {
    title: "A rare group",
    about:
      "The group is rare, so false alarms outnumber it. Most of what the classifier counts as the group belongs to the others.",
    truth: 0.03,
    missed: 0.1,
    false_alarms: 0.05,
    n: 1000,
    n_labelled: 200,
  },
  few: {
    title: "Few labels",
    about:
      "The classifier's errors were counted on 25 labelled images of each class. A correction that takes them for known is sure of what it hardly knows.",
    truth: 0.2,
    missed: 0.1,
    false_alarms: 0.1,
    n: 2000,
    n_labelled: 25,
  },
};
const WAYS = {
  raw: ["Raw share", "What the classifier counted. Its interval knows of sampling only."],
  known: [
    "Corrected, errors taken as known",
    "Corrected by Rogan and Gladen's formula. Its interval forgets that the error rates were themselves counted on few images.",
  ],
  corrected: [
    "Corrected, errors counted too",
    "The same share. Its interval knows of sampling and of the labelled images (Lang and Reiczigel).",
  ],
};
const SLIDERS = ["truth", "missed", "false_alarms", "n", "n_labelled"];
let setting = { case: "usual", seed: 1, ...CASES.usual };
const percent = (value, digits = 0) => (value === null ? "no share" : `${(100 * value).toFixed(digits)} %`);
const $ = (name) => element.querySelector(`[data-${name}]`);
// The sliders that no longer stand as the example says.
const changed = () => SLIDERS.filter((name) => setting[name] !== CASES[setting.case][name]);

function draw_measuring() {
  for (const [name, said] of [
    ["truth", percent(setting.truth)],
    ["missed", percent(setting.missed)],
    ["false_alarms", percent(setting.false_alarms)],
    ["n", setting.n.toLocaleString("en")],
    ["n_labelled", setting.n_labelled.toLocaleString("en")],
  ]) {
    const slider = $(name);
    slider.value =
      name === "n"
        ? N.indexOf(setting.n)
        : name === "n_labelled"
          ? LABELLED.indexOf(setting.n_labelled)
          : Math.round(100 * setting[name]);
    slider.setAttribute("aria-valuetext", said);
    $(`said-${name}`).textContent = said;
  }
  const box = $("presets");
  if (!box.children.length)
    box.innerHTML = Object.entries(CASES)
      .map(([key, c]) => `<button type="button" data-key="${key}">${c.title}</button>`)
      .join("");
  box.querySelectorAll("button").forEach((b) => {
    b.setAttribute("aria-pressed", String(b.dataset.key === setting.case && !changed().length));
    b.onclick = () => {
      setting = { ...setting, case: b.dataset.key, ...CASES[b.dataset.key] };
      write();
      draw_measuring();
    };
  });
  $("about").textContent = `${CASES[setting.case].about}${changed().length ? " Changed since." : ""}`;
  const found = coverage(setting, STUDIES, KEPT, setting.seed);
  const refused = setting.missed + setting.false_alarms > 0.7 + 1e-9; // 0.35 + 0.35 and 0.3 + 0.4 alike
  $("ways").innerHTML = Object.entries(WAYS)
    .map(([way, [title, about]]) => {
      const first = found.shown[0][way],
        held = found.held[way] / found.studies,
        good = held >= 0.93;
      const out =
        refused && way !== "raw"
          ? `<p class="learn-says"><b>Not measurable with this classifier.</b> It hardly tells the group from the others, so no correction can be trusted.</p>`
          : "";
      return `<section class="tiw-card way" aria-label="${title}"><div class="chart-title">${title}</div><div class="hint">${about}</div>${
        out ||
        `
      <div class="coverage ${good ? "good" : "bad"}"><b>${percent(held, held > 0.995 || held < 0.005 ? 1 : 0)}</b> of ${found.studies.toLocaleString("en")} studies hold the truth</div>
      ${intervals(
        found.shown.map((s) => s[way]),
        title,
      )}
      <p class="learn-says">First study: <b>${percent(first.share, 1)}</b>, 95 %: ${percent(first.interval[0], 1)} to ${percent(first.interval[1], 1)}, n = ${setting.n.toLocaleString("en")}.</p>`
      }</section>`;
    })
    .join("");
}

// Forty studies, one line each: the interval and its share; those that miss the truth stand out by colour and by a
// mark.
function intervals(studies, title) {
  const width = 360,
    row = 7,
    height = row * studies.length + 30,
    ends = studies.flatMap((s) => s.interval).concat(setting.truth);
  const low = Math.max(0, Math.min(...ends) - 0.02),
    high = Math.min(1, Math.max(...ends) + 0.02),
    x = (v) => 8 + ((width - 16) * (v - low)) / (high - low);
  const lines = studies.map((s, i) => {
    const [a, b] = s.interval,
      held = a <= setting.truth && setting.truth <= b,
      y = 6 + row * i,
      at = x(s.share);
    const mark = held
      ? `<circle cx="${at}" cy="${y}" r="1.9" stroke="none"/>`
      : `<rect x="${at - 2.5}" y="${y - 2.5}" width="5" height="5" stroke="none"/>`;
    return `<g stroke="${held ? "var(--muted)" : "var(--bad)"}" fill="${held ? "var(--muted)" : "var(--bad)"}"><path d="M${x(a)} ${y}H${x(b)}" stroke-width="${held ? 1.4 : 2.4}"/>${s.share === null ? "" : mark}</g>`;
  });
  const step = [0.005, 0.01, 0.02, 0.05, 0.1, 0.2].find((s) => (high - low) / s < 6) || 0.2,
    ticks = [];
  const anchor = (at) => (at < 20 ? "start" : at > width - 20 ? "end" : "middle"); // none is cut at the edge
  for (let v = Math.ceil(low / step) * step; v <= high; v += step)
    ticks.push(`<text x="${x(v)}" y="${height - 6}" text-anchor="${anchor(x(v))}">${percent(v, step < 0.01 ? 1 : 0)}</text>`);
  const missed = studies.filter((s) => s.interval[0] > setting.truth || s.interval[1] < setting.truth).length;
  return `<svg viewBox="0 0 ${width} ${height}" width="100%" role="img" aria-label="${title}: ${studies.length} studies, ${missed} of whose intervals miss the true share of ${percent(setting.truth)}.">
    <path d="M${x(setting.truth)} 0V${height - 20}" stroke="var(--reference)" stroke-width="2"/>${lines.join("")}<g font-size="12" fill="var(--muted)">${ticks.join("")}</g></svg>`;
}

function write() {
  const fields = { case: setting.case, seed: setting.seed };
  for (const name of changed()) fields[name] = setting[name];
  write_address("measuring", fields);
}
function from_address(fields) {
  const key = Object.hasOwn(CASES, fields.case) ? fields.case : "usual",
    base = CASES[key];
  const near = (list, value) => list.reduce((best, v) => (Math.abs(v - value) < Math.abs(best - value) ? v : best));
  setting = {
    ...base,
    case: key,
    seed: Math.round(bounded(fields.seed, 1, 9999, 1)),
    truth: bounded(fields.truth, 0.01, 0.99, base.truth),
    missed: bounded(fields.missed, 0, 0.4, base.missed),
    false_alarms: bounded(fields.false_alarms, 0, 0.4, base.false_alarms),
    n: near(N, bounded(fields.n, 50, 5000, base.n)),
    n_labelled: near(LABELLED, bounded(fields.n_labelled, 25, 1600, base.n_labelled)),
  };
}

for (const name of SLIDERS)
  $(name).oninput = (e) => {
    const value = Number(e.target.value);
    setting[name] = name === "n" ? N[value] : name === "n_labelled" ? LABELLED[value] : value / 100;
    write();
    draw_measuring();
  };
$("redraw").onclick = () => {
  setting.seed += 1;
  write();
  draw_measuring();
};
$("link").onclick = (e) => {
  write();
  copy_link(e.target);
};
const open = () => {
  const fields = read_address("measuring");
  if (fields) {
    from_address(fields);
    draw_measuring();
    element.scrollIntoView();
  }
};
addEventListener("hashchange", open);
draw_measuring();
open();
