// The audit explorer: one payload with every noise level, everything redrawn here in the browser.
// In scope (gr.HTML): element, props, watch, trigger. props.value is {url, sprite, strip, zip}; plotly is loaded by the component's head.
const COLOUR = { biased: "#d55e00", reference: "#0072b2", ink: "#16202e", muted: "#5a6473", line: "#e4e1da" };
const CATEGORIES = ["#009e73", "#aa4499", "#e69f00", "#56b4e9", "#000000", "#0072b2", "#d55e00", "#f0e442", "#882255", "#44aa99", "#999933", "#888888"];
const FONT = { family: "IBM Plex Sans, system-ui, sans-serif", size: 13, color: COLOUR.muted };
const titled = (text) => ({ title: { text, font: { size: 13 } } });
const PLAIN = { font: FONT, paper_bgcolor: "rgba(0,0,0,0)", plot_bgcolor: "rgba(0,0,0,0)" };
const GALLERY = 60;
const $ = (name) => element.querySelector(`[data-${name}]`);
const number = (x, digits = 2) => (x === null || x === undefined ? "–" : Number(x).toFixed(digits).replace("-", "−"));
const percent = (x) => (x === null || x === undefined ? "–" : `${(100 * x).toFixed(x < 0.1 ? 1 : 0)} %`);
const count = (n) => Math.round(n).toLocaleString("en");
const level_name = (sigma) => String(Number(sigma.toPrecision(2)));
let data = null, links = null, level = 0, colour = "set", layout = "-1", mode = "lasso", gallery = "over", selection = [], current = null, drawn = 0, everything = false;

const names = ["biased", "reference"];
const set_of = (p) => names[data.points.set[p]];
const ratio = (p) => data.points.log_ratio[level][p];
const all = () => data.points.set.map((_, p) => p);
const label_of = (p, name) => data.points.attributes[name].values[data.points.attributes[name].codes[p]] ?? "not known";
const has_webgl = (() => { try { return !!document.createElement("canvas").getContext("webgl"); } catch { return false; } })();

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
  $(where).innerHTML = options.map(([key]) => `<button type="button" data-key="${key}" aria-pressed="${key === chosen}"></button>`).join("");
  $(where).querySelectorAll("button").forEach((b, i) => { b.textContent = options[i][1]; b.onclick = () => choose(b.dataset.key); });
}

function draw_trust() {
  const l = data.levels[level];
  const tile = (name, value, range, help) => `<div class="tile"><div class="name">${name}</div><div class="value">${value}</div><div class="range">${range}</div><div class="help">${help}</div></div>`;
  const interval = (e) => `95 %: ${number(e.interval[0])} to ${number(e.interval[1])}`;
  $("tiles").innerHTML =
    tile("Held-out AUC", number(l.auc.value), interval(l.auc), "0.5: the sets look the same; 1: wholly apart") +
    tile("Cross-entropy", number(l.cross_entropy.held_out, 3), `on images it saw: ${number(l.cross_entropy.train, 3)}`, "a coin: 0.693; far lower on what it saw: memorised") +
    tile("Calibration error", number(l.ece, 3), `chance alone: about ${number(l.ece_by_chance, 3)}`, "mean distance from the diagonal") +
    tile("Mean ratio", number(l.mean_r.value), `${interval(l.mean_r)}`, `should be 1; so should 1/r (${number(l.mean_inverse_r.value)}) and w (${number(l.mean_w)})`) +
    tile("The weights’ way", percent(l.gap_closed?.value), l.gap_closed ? `95 %: ${percent(l.gap_closed.interval[0])} to ${percent(l.gap_closed.interval[1])}` : "", "how far weighting brings the biased set to the reference’s mean features; 100 %: all the way") +
    tile("Effective sample size", percent(l.effective_sample_size.share), `${count(l.effective_sample_size.count)} of ${count(data.biased.scored)} images`, `what the weights leave; the largest is ${number(l.largest_weight, 1)}, ${percent(l.negligible_share)} are below 0.01`);
  draw_reliability(l);
}

// Drawn by hand: a third plotly chart would cost the slider half its speed.
function draw_reliability(l) {
  const x = (v) => 52 + 330 * v, y = (v) => 266 - 250 * v, curve = l.reliability;
  const ticks = [0, 0.25, 0.5, 0.75, 1].map((v) => `<path d="M${x(v)} ${y(0)}V${y(1)}M${x(0)} ${y(v)}H${x(1)}" stroke="${COLOUR.line}"/>
    <text x="${x(v)}" y="284" text-anchor="middle">${100 * v} %</text><text x="44" y="${y(v) + 4}" text-anchor="end">${100 * v} %</text>`).join("");
  const dots = curve.map((b) => `<circle cx="${x(b.predicted)}" cy="${y(b.observed)}" r="4.5"><title>predicted ${percent(b.predicted)}, observed ${percent(b.observed)}, n = ${count(b.n)}</title></circle>`).join("");
  $("reliability").innerHTML = `<svg viewBox="0 0 400 310" role="img" fill="${COLOUR.ink}"><g font-size="12" fill="${COLOUR.muted}">${ticks}
    <text x="${x(0.5)}" y="304" text-anchor="middle">predicted to be a reference image</text><text transform="translate(11 ${y(0.5)}) rotate(-90)" text-anchor="middle">observed</text></g>
    <path d="M${x(0)} ${y(0)}L${x(1)} ${y(1)}" stroke="${COLOUR.muted}" stroke-dasharray="2 4" stroke-width="1.5"/>
    <polyline points="${curve.map((b) => `${x(b.predicted)},${y(b.observed)}`).join(" ")}" fill="none" stroke="${COLOUR.ink}" stroke-width="2"/>${dots}</svg>`;
  $("reliability").firstChild.setAttribute("aria-label", `Reliability curve at noise level ${level_name(l.sigma)}: ${curve.map((b) => `predicted ${percent(b.predicted)}, observed ${percent(b.observed)}`).join("; ")}.`);
}

function draw_strip() {
  const n = data.levels.length;
  const who = current === null ? ordered(false)[0] : current;
  const url = `${links.strip}/${data.points.item[who]}.webp`;
  const attributes = Object.keys(data.points.attributes).slice(0, 4).map((name) => `${name} ${label_of(who, name)}`).join(", ");
  $("who").textContent = `${set_of(who)[0].toUpperCase()}${set_of(who).slice(1)} set, image ${data.points.index[who]}${attributes ? ` (${attributes})` : ""}${current === null ? " · click another to follow it" : ""}`;
  $("strip").innerHTML = data.levels.map((l, i) => `<button type="button" aria-pressed="${i === level}" aria-label="Noise level ${level_name(l.sigma)}, log ratio ${number(data.points.log_ratio[i][who])}">
    <span class="pic" style="${sprite_style(i, url, n, n)}"></span><b>${level_name(l.sigma)}</b><span>log r ${number(data.points.log_ratio[i][who])}</span></button>`).join("");
  $("strip").querySelectorAll("button").forEach((b, i) => { b.onclick = () => go(i); });
  $("sigma").textContent = level_name(data.levels[level].sigma);
}

function draw_histogram() {
  const h = data.levels[level].histogram;
  const middle = h.edges.slice(1).map((e, i) => (e + h.edges[i]) / 2), width = h.edges.slice(1).map((e, i) => e - h.edges[i]);
  const bars = (name) => ({ type: "bar", name: `${name[0].toUpperCase()}${name.slice(1)} set`, x: middle, y: h[name], width, marker: { color: COLOUR[name], line: { width: 0 } }, opacity: 0.62,
    hovertemplate: "log r %{x:.2f}<br>density %{y:.2f}" });
  Plotly.react($("histogram"), [bars("biased"), bars("reference")], {
    ...PLAIN, barmode: "overlay", bargap: 0, margin: { l: 44, r: 8, t: 8, b: 42 }, legend: { orientation: "h", y: 1.08, x: 0 }, hovermode: "x", dragmode: false,
    xaxis: { ...titled("log density ratio, log r"), gridcolor: COLOUR.line, zerolinecolor: COLOUR.ink, zerolinewidth: 1.5, fixedrange: true }, yaxis: { ...titled("density"), gridcolor: COLOUR.line, rangemode: "tozero", fixedrange: true },
  }, { displayModeBar: false, responsive: true });
  $("histogram").setAttribute("aria-label", `Histogram of the log density ratio at noise level ${level_name(data.levels[level].sigma)} for the biased set (${data.biased.scored} images) and the reference set (${data.reference.n} images). The range below it selects images by keyboard.`);
}

function map_traces() {
  const where = data.maps[layout] || data.maps["-1"] || Object.values(data.maps)[0];
  const type = has_webgl ? "scattergl" : "scatter", chosen = new Set(selection);
  const picked = (rows) => (chosen.size ? { selectedpoints: rows.flatMap((p, k) => (chosen.has(p) ? [k] : [])), unselected: { marker: { opacity: 0.12 } } } : { selectedpoints: null });
  const dots = (rows, name, marker) => ({ ...picked(rows), type, mode: "markers", name, x: rows.map((p) => where.x[p]), y: rows.map((p) => where.y[p]), customdata: rows, text: rows.map((p) => `${set_of(p)} ${data.points.index[p]}<br>log r ${number(ratio(p))}`),
    hovertemplate: "%{text}<extra></extra>", marker: { size: 6, opacity: 0.75, line: { width: 0 }, ...marker } });
  const placed = all().filter((p) => where.x[p] !== null);
  let traces;
  if (colour === "ratio") {
    const far = Math.max(...data.levels[level].histogram.edges.map(Math.abs));
    traces = [dots(placed, "all", { color: placed.map(ratio), cmin: -far, cmax: far, colorscale: [[0, "#d55e00"], [0.5, "#eeeae2"], [1, "#0072b2"]], opacity: 0.95, colorbar: { title: { text: "log r" }, thickness: 10, len: 0.8, outlinewidth: 0 } })];
  } else if (colour === "set") {
    traces = names.map((name, s) => [name, s, placed.filter((p) => data.points.set[p] === s)]).map(([name, s, rows]) => dots(rows, `${name} (${count(rows.length)})`, { color: COLOUR[name], size: s ? 7 : 6 }));
  } else {
    const a = data.points.attributes[colour];
    traces = a.values.map((value, c) => dots(placed.filter((p) => a.codes[p] === c), value, { color: CATEGORIES[c % CATEGORIES.length] }));
  }
  if (current !== null && where.x[current] !== null) traces.push({ type, mode: "markers", name: "shown", showlegend: false, hoverinfo: "skip", x: [where.x[current]], y: [where.y[current]], customdata: [current], marker: { size: 16, color: "rgba(0,0,0,0)", line: { color: COLOUR.ink, width: 2.5 } } });
  return traces;
}

function draw_map() {
  const axis = { showgrid: false, zeroline: false, showticklabels: false, ticks: "" };
  if (!Object.keys(data.maps).length) { $("map").innerHTML = `<p class="tiw-note ex-wait">${data.map_coming ? "The map is being drawn. It appears here by itself." : "This audit has no map."}</p>`; return; }
  if (!$("map").classList.contains("js-plotly-plot")) $("map").innerHTML = "";
  Plotly.react($("map"), map_traces(), {
    ...PLAIN, margin: { l: 4, r: 4, t: 8, b: 8 }, xaxis: axis, yaxis: axis, legend: { orientation: "h", y: 1.06, x: 0, itemsizing: "constant" }, dragmode: mode, hovermode: "closest",
    uirevision: layout, selectionrevision: String(drawn += 1),
  }, { displayModeBar: false, responsive: true, scrollZoom: mode === "pan" });
  const of = colour === "set" ? "set" : colour === "ratio" ? "log ratio" : colour;
  $("map").setAttribute("aria-label", `Map of ${data.points.item.length} images coloured by ${of} at noise level ${level_name(data.levels[level].sigma)}. The galleries below hold the same images and work by keyboard.`);
}

function draw_gallery() {
  segments("galleries", [["over", "Most over-represented"], ["under", "Most under-represented"], ["selection", `Selection (${count(selection.length)})`]], gallery, (key) => { gallery = key; draw_gallery(); });
  const rows = gallery === "selection" ? selection.slice(0, 4 * GALLERY) : ordered(gallery === "under");
  const total = gallery === "selection" ? selection.length : all().filter((p) => data.points.set[p] === 0).length;
  $("count").textContent = gallery === "selection" && !selection.length ? "Draw round some dots on the map, or click a bar." : `${count(rows.length)} of ${count(total)} shown`;
  const { columns } = data.sprite, n = data.points.item.length;
  $("thumbs").innerHTML = rows.map((p) => `<button type="button" class="thumb" data-point="${p}" aria-pressed="${p === current}" title="${set_of(p)} ${data.points.index[p]}, log r ${number(ratio(p))}" aria-label="${set_of(p)} image ${data.points.index[p]}, log ratio ${number(ratio(p))}" style="${sprite_style(p, links.sprite, columns, n)}"><i style="background:${COLOUR[set_of(p)]}"></i></button>`).join("");
  $("exports").hidden = !selection.length;
  $("reference").disabled = !selection.some((p) => data.points.set[p] === 0);
}

function draw_drawn() {
  const { shown, there, seed } = data.drawn, total = data.biased.n + data.reference.n, placed = Object.values(data.maps)[0]?.x.filter((x) => x !== null).length;
  const off = placed === undefined || placed === shown ? "" : ` ${count(shown - placed)} of them, scored after the map was drawn, are in the galleries and the histogram's range only.`;
  const drawn = `${count(shown)} of ${count(total)} images, the biased ones drawn at random (seed ${seed}).`;
  $("drawn").textContent = shown < total ? drawn + off : `All ${count(total)} images.${off}`;
  $("more").hidden = shown >= there;
  $("more").textContent = `Add the other ${count(there - shown)}`;
}

function draw() {
  draw_strip(); draw_histogram(); draw_map(); draw_gallery(); draw_trust(); draw_drawn();
  $("slider").max = data.levels.length - 1; $("slider").value = level;
  $("slider").setAttribute("aria-valuetext", `Noise level ${level_name(data.levels[level].sigma)}`);
}
function go(to) { level = to; if (layout !== "-1") layout = String(to); draw(); }
function inspect(p) { current = p; draw_strip(); draw_map(); draw_gallery(); }
// The lasso's outline is dropped once it is used: plotly would apply it again to every new layout.
function select(rows) { selection = rows; gallery = rows.length ? "selection" : "over"; draw_gallery(); setTimeout(() => {
    if (($("map").layout?.selections || []).length) Plotly.relayout($("map"), { selections: [] });
    draw_map();
  });
}
function select_range(from, to) {
  $("from").value = from; $("to").value = to;
  select(all().filter((p) => ratio(p) >= from && ratio(p) <= to));
}

function save(name, rows) {
  const safe = (v) => (/^[=+@]/.test(v) || /[",\n]/.test(v) ? `"${String(v).replace(/"/g, '""').replace(/^([=+@])/, "'$1")}"` : v);
  download(name, new Blob([rows.map((r) => r.map((v) => safe(String(v))).join(",")).join("\n") + "\n"], { type: "text/csv" }));
}
function download(name, blob) {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(blob); link.download = name; link.click(); URL.revokeObjectURL(link.href);
}
function table(points, more = [], values = () => []) {
  const attributes = Object.keys(data.points.attributes);
  const head = ["set", "index", "item", ...attributes, ...data.levels.map((l) => `log_ratio at ${level_name(l.sigma)}`), ...more];
  return [head, ...points.map((p) => [set_of(p), data.points.index[p], data.points.item[p], ...attributes.map((name) => label_of(p, name)), ...data.points.log_ratio.map((r) => r[p]), ...values(p)])];
}
const tables = {
  selection: () => table(selection),
  map: () => {
    const where = data.maps[layout] || data.maps["-1"];
    return where ? table(all(), ["x", "y"], (p) => [where.x[p] ?? "", where.y[p] ?? ""]) : table(all());
  },
  histogram: () => [["noise level", "from", "to", "biased density", "reference density"],
    ...data.levels.flatMap((l) => l.histogram.biased.map((b, i) => [l.sigma, l.histogram.edges[i], l.histogram.edges[i + 1], b, l.histogram.reference[i]]))],
  reliability: () => [["noise level", "predicted", "observed", "n"], ...data.levels.flatMap((l) => l.reliability.map((b) => [l.sigma, b.predicted, b.observed, b.n]))],
};
async function save_images() {
  $("zip").disabled = true;
  try {
    const answer = await fetch(links.zip, { method: "POST", body: JSON.stringify({ items: selection.map((p) => data.points.item[p]) }) });
    if (answer.ok) download("selection.zip", await answer.blob());
    else $("count").textContent = "The images could not be packed. Is the run still there?";
  } finally { $("zip").disabled = false; }
}
function move_to_reference() {
  const items = selection.filter((p) => data.points.set[p] === 0).map((p) => data.points.item[p]);
  trigger("select", { value: { run: data.run, items } });
}

function controls() {
  const attributes = Object.keys(data.points.attributes);
  $("colours").innerHTML = `<option value="set">set</option><option value="ratio">log ratio</option>${attributes.map((_, k) => `<option value="${k}"></option>`).join("")}`;
  attributes.forEach((name, k) => { $("colours").options[k + 2].textContent = name; });
  $("colours").selectedIndex = Math.max(0, ["set", "ratio", ...attributes].indexOf(colour));
  $("layouts").value = layout === "-1" ? "-1" : "level";
  segments("modes", [["lasso", "Lasso"], ["select", "Box"], ["pan", "Move"]], mode, (key) => { mode = key; controls(); draw_map(); });
}

function wire() {
  $("slider").oninput = (e) => go(Number(e.target.value));
  $("colours").onchange = (e) => { colour = ["set", "ratio", ...Object.keys(data.points.attributes)][e.target.selectedIndex]; draw_map(); };
  $("layouts").onchange = (e) => { layout = e.target.value === "-1" ? "-1" : String(level); draw_map(); };
  $("range").onsubmit = (e) => { e.preventDefault(); select_range(Number($("from").value), Number($("to").value)); };
  $("thumbs").onclick = (e) => { const b = e.target.closest("[data-point]"); if (b) inspect(Number(b.dataset.point)); };
  element.querySelectorAll("[data-csv]").forEach((b) => { b.onclick = () => save(`${b.dataset.csv}.csv`, tables[b.dataset.csv]()); });
  $("zip").onclick = save_images;
  $("reference").onclick = move_to_reference;
  $("more").onclick = () => { everything = true; $("more").textContent = "Loading…"; load(); };
  const chart = $("histogram"), map = $("map");
  if (!chart.wired) {
    chart.wired = true;
    chart.on("plotly_click", (e) => {
      const { edges } = data.levels[level].histogram, bin = e.points[0].pointIndex, last = edges.length - 2;
      select_range(bin === 0 ? -99 : edges[bin], bin === last ? 99 : edges[bin + 1]); // the end bins hold the tails
    });
  }
  if (map.on && !map.wired) {
    map.wired = true;
    map.on("plotly_selected", (e) => { if (e && e.points.length) select([...new Set(e.points.map((x) => x.customdata))]); });
    map.on("plotly_deselect", () => select([]));
    map.on("plotly_click", (e) => inspect(e.points[0].customdata));
  }
}

let loading = null;
async function load() {
  const box = element.querySelector(".explorer");
  const value = typeof props.value === "string" ? JSON.parse(props.value || "null") : props.value;
  if (!value) { box.hidden = true; data = loading = null; return; }
  const other = !data || data.run !== value.run;
  if (other) everything = false;
  const url = value.url + (everything ? "&all=1" : "");
  if (loading === url) return;
  loading = url;
  const answer = await fetch(url).catch(() => null);
  if (loading !== url) return;
  if (!answer?.ok) { loading = null; setTimeout(load, 3000); return; } // the next try may find the app again
  const kept = other ? [] : [...selection, ...(current === null ? [] : [current])].map((p) => data.points.item[p]);
  data = await answer.json(); links = { ...value, sprite: value.sprite + (everything ? "&all=1" : "") };
  const place = new Map(data.points.item.map((item, p) => [item, p])), found = kept.map((item) => place.get(item));
  if (other) { selection = []; current = null; gallery = "over"; layout = "-1"; colour = "set"; level = data.start; }
  else { if (current !== null) current = found.pop() ?? null; selection = found.filter((p) => p !== undefined); }
  box.hidden = false;
  controls(); draw(); wire();
}
new ResizeObserver(() => element.querySelectorAll(".js-plotly-plot").forEach((p) => p.offsetWidth && Plotly.Plots.resize(p))).observe(element);
watch("value", load);
load();
