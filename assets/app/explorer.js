// The audit explorer: one payload with every noise level, everything redrawn here in the browser.
// In scope (gr.HTML): element, props, watch. props.value is {url, sprite, strip}; plotly is loaded by the component's head.
const COLOUR = { biased: "#d55e00", reference: "#0072b2", ink: "#16202e", muted: "#5a6473", line: "#e4e1da" };
const CATEGORIES = ["#0072b2", "#d55e00", "#009e73", "#aa4499", "#e69f00", "#56b4e9", "#000000"];
const FONT = { family: "IBM Plex Sans, system-ui, sans-serif", size: 13, color: COLOUR.muted };
const GALLERY = 60;
const $ = (name) => element.querySelector(`[data-${name}]`);
const number = (x, digits = 2) => (x === null || x === undefined ? "–" : Number(x).toFixed(digits));
const percent = (x) => (x === null || x === undefined ? "–" : `${(100 * x).toFixed(x < 0.1 ? 1 : 0)} %`);
const level_name = (sigma) => String(Number(sigma.toPrecision(2)));
let data = null, links = null, level = 0, colour = "set", layout = "-1", gallery = "over", selection = [], current = null, drawn = 0;

const names = ["biased", "reference"];
const set_of = (p) => names[data.points.set[p]];
const ratio = (p) => data.points.log_ratio[level][p];
const has_webgl = (() => { try { return !!document.createElement("canvas").getContext("webgl"); } catch { return false; } })();

function sprite_style(p, url, columns, count) {
  const rows = Math.ceil(count / columns);
  const at = (i, n) => (n > 1 ? (100 * i) / (n - 1) : 0);
  return `background-image:url(${url});background-size:${100 * columns}% ${100 * rows}%;background-position:${at(p % columns, columns)}% ${at(Math.floor(p / columns), rows)}%`;
}

function ordered(descending) {
  const biased = data.points.set.map((s, p) => p).filter((p) => data.points.set[p] === 0);
  return biased.sort((a, b) => (descending ? ratio(b) - ratio(a) : ratio(a) - ratio(b))).slice(0, GALLERY);
}

function segments(where, options, chosen, choose) {
  $(where).innerHTML = options.map(([key, label]) => `<button type="button" data-key="${key}" aria-pressed="${key === chosen}"></button>`).join("");
  $(where).querySelectorAll("button").forEach((b, i) => { b.textContent = options[i][1]; b.onclick = () => choose(b.dataset.key); });
}

function draw_tiles() {
  const l = data.levels[level];
  const tile = (name, value, range, help) => `<div class="tile"><div class="name">${name}</div><div class="value">${value}</div><div class="range">${range}</div><div class="help">${help}</div></div>`;
  const interval = (e, f) => `95 %: ${f(e.interval[0])} to ${f(e.interval[1])}`;
  $("tiles").innerHTML =
    tile("Held-out AUC", number(l.auc.value), interval(l.auc, number), "0.5: the sets look the same; 1: wholly apart") +
    tile("Effective sample size", percent(l.effective_sample_size.share), `${Math.round(l.effective_sample_size.count)} of ${data.biased.scored} images`, "what the weights leave of the biased set") +
    tile("Calibration error", number(l.ece, 3), "", "0: when it says 70 %, it is right in 70 %") +
    tile("Largest weight", number(l.largest_weight, 1), `${percent(l.negligible_share)} of images below 0.01`, "one image should not speak for many");
  $("sigma").textContent = level_name(l.sigma);
}

function draw_strip() {
  const n = data.levels.length;
  const who = current === null ? ordered(false)[0] : current;
  const url = `${links.strip}/${data.points.item[who]}.webp`;
  const attributes = Object.entries(data.points.attributes).map(([name, a]) => `${name} ${a.values[a.codes[who]]}`).join(", ");
  $("who").textContent = `Shown: ${set_of(who)} image ${data.points.index[who]}${attributes ? " (" + attributes + ")" : ""}`;
  $("strip").innerHTML = data.levels.map((l, i) => `<button type="button" aria-pressed="${i === level}" aria-label="Noise level ${level_name(l.sigma)}, log ratio ${number(data.points.log_ratio[i][who])}">
    <span class="pic" style="${sprite_style(i, url, n, n)}"></span><b>${level_name(l.sigma)}</b><span>log r ${number(data.points.log_ratio[i][who])}</span></button>`).join("");
  $("strip").querySelectorAll("button").forEach((b, i) => { b.onclick = () => go(i); });
}

function draw_histogram() {
  const h = data.levels[level].histogram;
  const middle = h.edges.slice(1).map((e, i) => (e + h.edges[i]) / 2), width = h.edges.slice(1).map((e, i) => e - h.edges[i]);
  const bars = (name) => ({ type: "bar", name: `${name[0].toUpperCase()}${name.slice(1)} set`, x: middle, y: h[name], width, marker: { color: COLOUR[name], line: { width: 0 } }, opacity: 0.62,
    hovertemplate: "log r %{x:.2f}<br>density %{y:.2f}<extra></extra>" });
  Plotly.react($("histogram"), [bars("biased"), bars("reference")], {
    barmode: "overlay", bargap: 0, font: FONT, margin: { l: 44, r: 8, t: 8, b: 42 }, legend: { orientation: "h", y: 1.08, x: 0 }, paper_bgcolor: "rgba(0,0,0,0)", plot_bgcolor: "rgba(0,0,0,0)",
    xaxis: { title: { text: "log r" }, gridcolor: COLOUR.line, zerolinecolor: COLOUR.ink, zerolinewidth: 1.5 }, yaxis: { title: { text: "density" }, gridcolor: COLOUR.line, rangemode: "tozero" }, dragmode: false,
  }, { displayModeBar: false, responsive: true });
  $("histogram").setAttribute("aria-label", `Histogram of the log density ratio at noise level ${level_name(data.levels[level].sigma)} for the biased set (${data.biased.scored} images) and the reference set (${data.reference.n} images). Data: CSV button.`);
}

function map_traces() {
  const where = data.maps[layout] || data.maps["-1"] || Object.values(data.maps)[0];
  const type = has_webgl ? "scattergl" : "scatter", chosen = new Set(selection);
  const picked = (rows) => (chosen.size ? { selectedpoints: rows.flatMap((p, k) => (chosen.has(p) ? [k] : [])), unselected: { marker: { opacity: 0.12 } } } : { selectedpoints: null });
  const dots = (rows, name, marker) => ({ ...picked(rows), type, mode: "markers", name, x: rows.map((p) => where.x[p]), y: rows.map((p) => where.y[p]), customdata: rows, text: rows.map((p) => `${set_of(p)} ${data.points.index[p]}<br>log r ${number(ratio(p))}`),
    hovertemplate: "%{text}<extra></extra>", marker: { size: 5, opacity: 0.75, line: { width: 0 }, ...marker } });
  const all = data.points.set.map((s, p) => p);
  let traces;
  if (colour === "ratio") {
    const far = Math.max(...data.levels[level].histogram.edges.map(Math.abs));
    traces = [dots(all, "all", { color: all.map(ratio), cmin: -far, cmax: far, colorscale: [[0, "#d55e00"], [0.5, "#eeeae2"], [1, "#0072b2"]], opacity: 0.95, colorbar: { title: { text: "log r" }, thickness: 10, len: 0.8, outlinewidth: 0 } })];
  } else if (colour === "set") {
    traces = names.map((name, s) => dots(all.filter((p) => data.points.set[p] === s), `${name} (${s ? data.reference.n : data.biased.scored})`, { color: COLOUR[name], size: s ? 6 : 5 }));
  } else {
    const a = data.points.attributes[colour];
    traces = a.values.map((value, c) => dots(all.filter((p) => a.codes[p] === c), value, { color: CATEGORIES[c % CATEGORIES.length] }));
  }
  if (current !== null) traces.push({ type, mode: "markers", name: "shown", showlegend: false, hoverinfo: "skip", x: [where.x[current]], y: [where.y[current]], customdata: [current], marker: { size: 16, color: "rgba(0,0,0,0)", line: { color: COLOUR.ink, width: 2.5 } } });
  return traces;
}

function draw_map() {
  const axis = { showgrid: false, zeroline: false, showticklabels: false, ticks: "" };
  if (!Object.keys(data.maps).length) { $("map").innerHTML = '<p class="tiw-note" style="padding:120px 0;text-align:center">The map is being drawn. It appears here by itself.</p>'; return; }
  if (!$("map").classList.contains("js-plotly-plot")) $("map").innerHTML = "";
  Plotly.react($("map"), map_traces(), {
    font: FONT, margin: { l: 4, r: 4, t: 8, b: 8 }, xaxis: axis, yaxis: axis, legend: { orientation: "h", y: 1.06, x: 0, itemsizing: "constant" }, dragmode: "lasso", hovermode: "closest",
    paper_bgcolor: "rgba(0,0,0,0)", plot_bgcolor: "rgba(0,0,0,0)", uirevision: layout, selectionrevision: String(drawn += 1),
  }, { displaylogo: false, responsive: true, modeBarButtonsToRemove: ["toImage", "autoScale2d"], scrollZoom: true });
  const of = colour === "set" ? "set" : colour === "ratio" ? "log ratio" : colour;
  $("map").setAttribute("aria-label", `Map of ${data.points.item.length} images coloured by ${of} at noise level ${level_name(data.levels[level].sigma)}. The galleries below hold the same images and work by keyboard.`);
}

function draw_gallery() {
  segments("galleries", [["over", "Most over-represented"], ["under", "Most under-represented"], ["selection", `Selection (${selection.length})`]], gallery, (key) => { gallery = key; draw_gallery(); });
  const rows = gallery === "selection" ? selection.slice(0, 4 * GALLERY) : ordered(gallery === "under");
  const total = gallery === "selection" ? selection.length : data.biased.scored;
  $("count").textContent = gallery === "selection" && !selection.length ? "Draw a lasso on the map or click a bar." : `${rows.length} of ${total} shown`;
  const { columns } = data.sprite, count = data.points.item.length;
  $("thumbs").innerHTML = rows.map((p) => `<button type="button" class="thumb" data-point="${p}" aria-pressed="${p === current}" title="${set_of(p)} ${data.points.index[p]}, log r ${number(ratio(p))}" aria-label="${set_of(p)} image ${data.points.index[p]}, log ratio ${number(ratio(p))}" style="${sprite_style(p, links.sprite, columns, count)}"><i style="background:${COLOUR[set_of(p)]}"></i></button>`).join("");
  element.querySelector("[data-csv=selection]").disabled = $("zip").disabled = !selection.length;
  $("reference").disabled = !selection.some((p) => data.points.set[p] === 0);
}

function draw() {
  draw_tiles(); draw_strip(); draw_histogram(); draw_map(); draw_gallery();
  $("slider").max = data.levels.length - 1; $("slider").value = level;
  $("slider").setAttribute("aria-valuetext", `Noise level ${level_name(data.levels[level].sigma)}`);
}
function go(to) { level = to; draw(); }
function inspect(p) { current = p; draw_strip(); draw_map(); draw_gallery(); }
// The lasso's outline is dropped once it is used: plotly would apply it again to every new layout.
function select(rows) { selection = rows; gallery = rows.length ? "selection" : "over"; draw_gallery(); setTimeout(() => {
    if (($("map").layout?.selections || []).length) Plotly.relayout($("map"), { selections: [] });
    draw_map();
  });
}

function save(name, rows) {
  const safe = (v) => (/^[=+@]/.test(v) || /[",\n]/.test(v) ? `"${String(v).replace(/"/g, '""').replace(/^([=+@])/, "'$1")}"` : v);
  const link = document.createElement("a");
  link.href = URL.createObjectURL(new Blob([rows.map((r) => r.map((v) => safe(String(v))).join(",")).join("\n") + "\n"], { type: "text/csv" }));
  link.download = name; link.click(); URL.revokeObjectURL(link.href);
}
function save_selection() {
  const attributes = Object.entries(data.points.attributes);
  const head = ["set", "index", "item", ...attributes.map(([name]) => name), ...data.levels.map((l) => `log_ratio at ${level_name(l.sigma)}`)];
  save("selection.csv", [head, ...selection.map((p) => [set_of(p), data.points.index[p], data.points.item[p], ...attributes.map(([, a]) => a.values[a.codes[p]]), ...data.points.log_ratio.map((r) => r[p])])]);
}
async function save_images() {
  const answer = await fetch(links.zip, { method: "POST", body: JSON.stringify({ items: selection.map((p) => data.points.item[p]) }) });
  if (!answer.ok) return;
  const link = document.createElement("a");
  link.href = URL.createObjectURL(await answer.blob()); link.download = "selection.zip"; link.click(); URL.revokeObjectURL(link.href);
}
function move_to_reference() {
  const items = selection.filter((p) => data.points.set[p] === 0).map((p) => data.points.item[p]);
  trigger("select", { value: { run: data.run, items } });
}
function save_histogram() {
  save("histogram.csv", [["noise level", "from", "to", "biased density", "reference density"],
    ...data.levels.flatMap((l) => l.histogram.biased.map((b, i) => [l.sigma, l.histogram.edges[i], l.histogram.edges[i + 1], b, l.histogram.reference[i]]))]);
}

function controls() {
  segments("colours", [["set", "Set"], ["ratio", "Log ratio"], ...Object.keys(data.points.attributes).map((a) => [a, a])], colour, (key) => { colour = key; controls(); draw_map(); });
  segments("layouts", [["-1", "Fixed layout"], ["level", "Layout of this level"]], layout === "-1" ? "-1" : "level", (key) => { layout = key === "-1" ? "-1" : String(level); controls(); draw_map(); });
}

function wire() {
  $("slider").oninput = (e) => { if (layout !== "-1") layout = e.target.value; go(Number(e.target.value)); };
  $("thumbs").onclick = (e) => { const b = e.target.closest("[data-point]"); if (b) inspect(Number(b.dataset.point)); };
  element.querySelector("[data-csv=selection]").onclick = save_selection;
  element.querySelector("[data-csv=histogram]").onclick = save_histogram;
  $("zip").onclick = save_images;
  $("reference").onclick = move_to_reference;
  const chart = $("histogram"), map = $("map");
  if (!chart.wired) {
    chart.wired = true;
    chart.on("plotly_click", (e) => {
      const h = data.levels[level].histogram, bin = e.points[0].pointIndex;
      select(data.points.item.map((_, p) => p).filter((p) => ratio(p) >= h.edges[bin] && ratio(p) < h.edges[bin + 1]));
    });
  }
  if (map.on && !map.wired) {
    map.wired = true;
    map.on("plotly_selected", (e) => { if (e && e.points.length) select(e.points.map((x) => x.customdata)); });
    map.on("plotly_deselect", () => select([]));
    map.on("plotly_click", (e) => inspect(e.points[0].customdata));
  }
}

let loading = null;
async function load() {
  const box = element.querySelector(".explorer");
  const value = typeof props.value === "string" ? JSON.parse(props.value || "null") : props.value;
  if (!value) { box.hidden = true; data = null; return; }
  if (loading === value.url) return;
  loading = value.url;
  const answer = await fetch(value.url);
  if (!answer.ok || loading !== value.url) return;
  const fresh = await answer.json(), same = data && data.run === fresh.run;
  data = fresh; links = value;
  if (!same) { selection = []; current = null; gallery = "over"; layout = "-1"; colour = "set"; level = data.start; }
  box.hidden = false;
  controls(); draw(); wire();
}
new ResizeObserver(() => element.querySelectorAll(".js-plotly-plot").forEach((p) => p.offsetWidth && Plotly.Plots.resize(p))).observe(element);
watch("value", load);
load();
