// The audit explorer: one payload with every noise level, everything redrawn here in the browser. Its parts, in this
// order: explorer_state, explorer_draw, explorer_panel, explorer_load; they are one script. In scope (gr.HTML):
// element, props, watch, trigger. props.value is {url, sprite, strip, zip}; plotly is loaded by the component's head.
const css = (name) => getComputedStyle(document.body).getPropertyValue(`--${name}`).trim();
const COLOUR = Object.fromEntries(
  ["biased", "reference", "ink", "muted", "line", "middle"].map((name) => [name, css(name)]),
); // light or dark
const CATEGORIES = [
  "#009e73",
  "#aa4499",
  "#e69f00",
  "#56b4e9",
  "#000000",
  "#0072b2",
  "#d55e00",
  "#f0e442",
  "#882255",
  "#44aa99",
  "#999933",
  "#888888",
];
const FONT = { family: "IBM Plex Sans, system-ui, sans-serif", size: 13, color: COLOUR.muted };
const titled = (text) => ({ title: { text, font: { size: 13 } } });
const PLAIN = { font: FONT, paper_bgcolor: "rgba(0,0,0,0)", plot_bgcolor: "rgba(0,0,0,0)" };
const GALLERY = 60;
const $ = (name) => element.querySelector(`[data-${name}]`);
const number = (x, digits = 2) => (x === null || x === undefined ? "–" : Number(x).toFixed(digits).replace("-", "−"));
const percent = (x) => (x === null || x === undefined ? "–" : `${(100 * x).toFixed(x < 0.1 ? 1 : 0)} %`);
const count = (n) => Math.round(n).toLocaleString("en");
const level_name = (sigma) => String(Number(sigma.toPrecision(2)));
let data = null,
  links = null,
  level = 0,
  colour = "ratio",
  layout = "-1",
  mode = "lasso",
  gallery = "over",
  selection = [],
  current = null,
  drawn = 0,
  everything = false,
  only = "",
  sorting = "";

const names = ["biased", "reference"],
  TITLES = { biased: "Large set", reference: "Reference set" };
const set_of = (p) => names[data.points.set[p]];
const ratio = (p) => data.points.log_ratio[level][p];
// All points that pass the filter, or every point where none is set.
const all = () => data.points.set.map((_, p) => p).filter(passes);
function passes(p) {
  if (!only) return true;
  const [name, value] = JSON.parse(only);
  return label_of(p, name) === value;
}
const file_of = (p) => data.points.source[p];
// A log ratio as a factor: how many times too often, or too rare, the large set shows such an image.
const times = (x) => (x >= 1000 ? "over 1,000" : x >= 9.95 ? count(x) : x.toFixed(1));
function factor(log_ratio) {
  if (log_ratio === null || log_ratio === undefined) return "–";
  const x = Math.exp(Math.abs(log_ratio));
  return x < 1.05 ? "about as often" : `${times(x)}× too ${log_ratio > 0 ? "rare" : "often"}`;
}
const label_of = (p, name) => data.points.attributes[name].values[data.points.attributes[name].codes[p]] ?? "not known";
const has_webgl = (() => {
  try {
    return !!document.createElement("canvas").getContext("webgl");
  } catch {
    return false;
  }
})();

function sprite_style(p, url, columns, n) {
  const rows = Math.ceil(n / columns);
  const at = (i, n) => (n > 1 ? (100 * i) / (n - 1) : 0);
  return `background-image:url(${url});background-size:${100 * columns}% ${100 * rows}%;background-position:${at(p % columns, columns)}% ${at(Math.floor(p / columns), rows)}%`;
}

function ordered(descending) {
  const biased = all().filter((p) => data.points.set[p] === 0);
  return biased.sort((a, b) => (descending ? ratio(b) - ratio(a) : ratio(a) - ratio(b))).slice(0, GALLERY);
}
function segments(where, options, chosen, choose) {
  const refocus = focus_in($(where));
  $(where).innerHTML = options
    .map(([key]) => `<button type="button" data-key="${key}" aria-pressed="${key === chosen}"></button>`)
    .join("");
  $(where)
    .querySelectorAll("button")
    .forEach((b, i) => {
      b.textContent = options[i][1];
      b.onclick = () => choose(b.dataset.key);
    });
  refocus();
}
