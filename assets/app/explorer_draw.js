function draw_trust() {
  const l = data.levels[level];
  const tile = (name, value, range, help) =>
    `<div class="tile"><div class="name">${name}</div><div class="value">${value}</div><div class="range">${range}</div><div class="help">${help}</div></div>`;
  const interval = (e) => `95 %: ${number(e.interval[0])} to ${number(e.interval[1])}`;
  $("tiles").innerHTML =
    tile("Held-out AUC", number(l.auc.value), interval(l.auc), l.said.auc) +
    tile(
      "Cross-entropy",
      number(l.cross_entropy.held_out, 3),
      `on images it saw: ${number(l.cross_entropy.train, 3)}`,
      "a coin: 0.693; far lower on what it saw: memorised",
    ) +
    tile(
      "Calibration error",
      number(l.ece, 3),
      `chance alone: about ${number(l.ece_by_chance, 3)}`,
      "mean distance from the diagonal",
    ) +
    tile(
      "Mean ratio",
      number(l.mean_r.value),
      `${interval(l.mean_r)}`,
      `should be 1; so should 1/r (${number(l.mean_inverse_r.value)}) and w (${number(l.mean_w)})`,
    ) +
    tile(
      "Gap closed by weighting",
      percent(l.gap_closed?.value),
      l.gap_closed ? `95 %: ${percent(l.gap_closed.interval[0])} to ${percent(l.gap_closed.interval[1])}` : "",
      "how far weighting brings the large set to the reference’s mean features; 100 %: all the way",
    ) +
    tile(
      "Effective sample size",
      percent(l.effective_sample_size.share),
      `${count(l.effective_sample_size.count)} of ${count(data.biased.scored)} images`,
      `${l.said.worth} The largest weight is ${number(l.largest_weight, 1)}, ${percent(l.negligible_share)} are below 0.01.`,
    );
  draw_reliability(l);
}

// Drawn by hand: a third plotly chart would cost the slider half its speed.
function draw_reliability(l) {
  const x = (v) => 52 + 330 * v,
    y = (v) => 266 - 250 * v,
    curve = l.reliability;
  const ticks = [0, 0.25, 0.5, 0.75, 1]
    .map(
      (v) => `<path d="M${x(v)} ${y(0)}V${y(1)}M${x(0)} ${y(v)}H${x(1)}" stroke="${COLOUR.line}"/>
    <text x="${x(v)}" y="284" text-anchor="middle">${100 * v} %</text><text x="44" y="${y(v) + 4}" text-anchor="end">${100 * v} %</text>`,
    )
    .join("");
  const dots = curve
    .map(
      (b) =>
        `<circle cx="${x(b.predicted)}" cy="${y(b.observed)}" r="4.5"><title>predicted ${percent(b.predicted)}, observed ${percent(b.observed)}, n = ${count(b.n)}</title></circle>`,
    )
    .join("");
  $("reliability").innerHTML =
    `<svg viewBox="0 0 400 310" role="img" fill="${COLOUR.ink}"><g font-size="12" fill="${COLOUR.muted}">${ticks}
    <text x="${x(0.5)}" y="304" text-anchor="middle">predicted to be a reference image</text><text transform="translate(11 ${y(0.5)}) rotate(-90)" text-anchor="middle">observed</text></g>
    <path d="M${x(0)} ${y(0)}L${x(1)} ${y(1)}" stroke="${COLOUR.muted}" stroke-dasharray="2 4" stroke-width="1.5"/>
    <polyline points="${curve.map((b) => `${x(b.predicted)},${y(b.observed)}`).join(" ")}" fill="none" stroke="${COLOUR.ink}" stroke-width="2"/>${dots}</svg>`;
  $("reliability").firstChild.setAttribute(
    "aria-label",
    `Reliability curve at noise level ${level_name(l.sigma)}: ${curve.map((b) => `predicted ${percent(b.predicted)}, observed ${percent(b.observed)}`).join("; ")}.`,
  );
}

function draw_strip() {
  const n = data.levels.length;
  $("sigma").textContent = level_name(data.levels[level].sigma);
  const who = current ?? ordered(false)[0] ?? all()[0];
  if (who === undefined) {
    $("who").textContent = $("strip").innerHTML = "";
    return;
  }
  const refocus = focus_in($("strip"));
  const url = `${links.strip}/${data.points.item[who]}.webp`;
  const attributes = Object.keys(data.points.attributes)
    .slice(0, 4)
    .map((name) => `${name} ${label_of(who, name)}`)
    .join(", ");
  $("who").textContent =
    `${TITLES[set_of(who)]}, ${file_of(who)}${attributes ? ` (${attributes})` : ""}${current === null ? " · click another to follow it" : ""}`;
  $("strip").innerHTML = data.levels
    .map(
      (l, i) => `<button type="button" data-level="${i}" aria-pressed="${i === level}">
    <span class="pic" style="${sprite_style(i, url, n, n)}"></span><b>${level_name(l.sigma)}</b><span>${factor(data.points.log_ratio[i][who])}</span></button>`,
    )
    .join("");
  $("strip")
    .querySelectorAll("button")
    .forEach((b, i) => {
      b.onclick = () => go(i);
    });
  refocus();
}

// Densities over the histogram's bins: as measured, or counted again among the images that pass the filter. The end
// bins hold the tails.
function densities(name) {
  const { edges, ...measured } = data.levels[level].histogram;
  if (!only) return measured[name];
  const rows = all().filter((p) => set_of(p) === name),
    bins = edges.slice(1).map(() => 0),
    last = bins.length - 1;
  for (const p of rows) {
    const at = edges.findIndex((edge) => edge > ratio(p));
    bins[at < 0 ? last : Math.min(Math.max(at - 1, 0), last)] += 1;
  }
  return bins.map((n, i) => n / Math.max(rows.length, 1) / (edges[i + 1] - edges[i]));
}
function factor_axis(edges) {
  const steps = [1, 2, 4, 8, 16, 32, 64, 128, 256].map(Math.log),
    far = Math.max(...edges.map(Math.abs));
  const shown = steps.filter((v) => v <= far),
    every = shown.length > 5 ? 2 : 1;
  const used = shown.filter((_, i) => i % every === 0);
  const values = [
    ...used
      .slice(1)
      .map((v) => -v)
      .reverse(),
    ...used,
  ];
  return {
    tickvals: values,
    ticktext: values.map((v) => (v === 0 ? "1" : `${v > 0 ? "×" : "÷"}${Math.round(Math.exp(Math.abs(v)))}`)),
  };
}
function draw_histogram() {
  const { edges } = data.levels[level].histogram;
  const middle = edges.slice(1).map((e, i) => (e + edges[i]) / 2),
    width = edges.slice(1).map((e, i) => e - edges[i]);
  const bars = (name) => ({
    type: "bar",
    name: TITLES[name],
    x: middle,
    y: densities(name),
    width,
    marker: { color: COLOUR[name], line: { width: 0 } },
    opacity: 0.62,
    text: middle.map(factor),
    textposition: "none",
    hovertemplate: "%{text}<br>density %{y:.2f}",
  });
  Plotly.react(
    $("histogram"),
    [bars("biased"), bars("reference")],
    {
      ...PLAIN,
      barmode: "overlay",
      bargap: 0,
      margin: { l: 44, r: 8, t: 8, b: 42 },
      legend: { orientation: "h", y: 1.08, x: 0 },
      hovermode: "x",
      dragmode: false,
      xaxis: {
        ...titled("← too often · ratio of the sets · too rare →"),
        ...factor_axis(edges),
        gridcolor: COLOUR.line,
        zerolinecolor: COLOUR.ink,
        zerolinewidth: 1.5,
        fixedrange: true,
      },
      yaxis: { ...titled("density"), gridcolor: COLOUR.line, rangemode: "tozero", fixedrange: true },
    },
    { displayModeBar: false, responsive: true },
  );
  $("histogram").setAttribute(
    "aria-label",
    `Histogram of the density ratio at noise level ${level_name(data.levels[level].sigma)} for the large set (${data.biased.scored} images) and the reference set (${data.reference.n} images). The range below it selects images by keyboard.`,
  );
}

// One random order of all points, the same every time: no set lies on top of the other.
let shuffled = null;
function drawing_order() {
  const n = data.points.item.length;
  if (shuffled?.length !== n) {
    let state = 1;
    const next = () => (state = (state * 1103515245 + 12345) % 2147483648) / 2147483648;
    shuffled = Array.from({ length: n }, (_, p) => [next(), p])
      .sort((a, b) => a[0] - b[0])
      .map(([, p]) => p);
  }
  return shuffled.filter(passes);
}

// Which group each point is in, -1 for none, and the groups' names and colours: the sets, or the values of a label.
function grouped() {
  if (colour === "set")
    return {
      of: data.points.set,
      titles: names.map((name) => TITLES[name]),
      colours: names.map((name) => COLOUR[name]),
    };
  const { codes, values } = data.points.attributes[colour];
  return { of: codes, titles: values, colours: values.map((_, c) => CATEGORIES[c % CATEGORIES.length]) };
}

function map_traces() {
  const where = data.maps[layout] || data.maps["-1"] || Object.values(data.maps)[0];
  const type = has_webgl ? "scattergl" : "scatter",
    chosen = new Set(selection);
  const picked = (rows) =>
    chosen.size
      ? {
          selectedpoints: rows.flatMap((p, k) => (chosen.has(p) ? [k] : [])),
          unselected: { marker: { opacity: 0.12 } },
        }
      : { selectedpoints: null };
  const dots = (rows, name, marker) => ({
    ...picked(rows),
    type,
    mode: "markers",
    name,
    x: rows.map((p) => where.x[p]),
    y: rows.map((p) => where.y[p]),
    customdata: rows,
    text: rows.map((p) => `${TITLES[set_of(p)]}, ${escaped(file_of(p))}<br>${factor(ratio(p))}`),
    hovertemplate: "%{text}<extra></extra>",
    marker: { size: 5, opacity: 0.8, line: { width: 0 }, ...marker },
  });
  const placed = drawing_order().filter((p) => where.x[p] !== null);
  let traces;
  if (colour === "ratio") {
    const far = Math.max(...data.levels[level].histogram.edges.map(Math.abs));
    traces = [
      dots(placed, "all", {
        color: placed.map(ratio),
        cmin: -far,
        cmax: far,
        colorscale: [
          [0, COLOUR.biased],
          [0.5, COLOUR.middle],
          [1, COLOUR.reference],
        ],
        opacity: 0.95,
        colorbar: { ...factor_axis(data.levels[level].histogram.edges), thickness: 10, len: 0.85, outlinewidth: 0 },
      }),
    ];
  } else {
    // One trace in random order, so that no group hides another; an empty one for each makes the legend.
    const groups = grouped();
    const of = groups.of.map((g) => groups.colours[g] ?? COLOUR.middle);
    traces = [
      dots(placed, "images", { color: placed.map((p) => of[p]) }),
      ...groups.titles.map((title, g) => ({
        ...dots([], `${escaped(title)} (${count(placed.filter((p) => groups.of[p] === g).length)})`, {
          color: groups.colours[g],
        }),
        x: [null],
        y: [null],
      })),
    ];
    traces[0].showlegend = false;
  }
  if (current !== null && where.x[current] !== null)
    traces.push({
      type,
      mode: "markers",
      name: "shown",
      showlegend: false,
      hoverinfo: "skip",
      x: [where.x[current]],
      y: [where.y[current]],
      customdata: [current],
      marker: { size: 16, color: "rgba(0,0,0,0)", line: { color: COLOUR.ink, width: 2.5 } },
    });
  return traces;
}

function draw_map() {
  const axis = { showgrid: false, zeroline: false, showticklabels: false, ticks: "" };
  if (!Object.keys(data.maps).length) {
    Plotly.purge($("map")); // of an audit that was on screen before: into what is left of it nothing would be drawn
    $("map").classList.remove("js-plotly-plot");
    $("map").wired = false;
    $("map").removeAttribute("role");
    $("map").innerHTML =
      `<p class="tiw-note ex-wait">${data.map_coming ? "The map is being drawn. It appears here by itself." : "This audit has no map."}</p>`;
    return;
  }
  if (!$("map").classList.contains("js-plotly-plot")) $("map").innerHTML = "";
  $("map").setAttribute("role", "img");
  Plotly.react(
    $("map"),
    map_traces(),
    {
      ...PLAIN,
      margin: { l: 4, r: 4, t: 8, b: 8 },
      xaxis: axis,
      yaxis: axis,
      legend: { orientation: "h", y: 1.06, x: 0, itemsizing: "constant" },
      dragmode: mode,
      hovermode: "closest",
      uirevision: layout,
      selectionrevision: String((drawn += 1)),
    },
    { displayModeBar: false, responsive: true, scrollZoom: mode === "pan" },
  );
  const of = colour === "set" ? "set" : colour === "ratio" ? "density ratio" : colour;
  $("map").setAttribute(
    "aria-label",
    `Map of ${data.points.item.length} images coloured by ${of} at noise level ${level_name(data.levels[level].sigma)}. The galleries below hold the same images and work by keyboard.`,
  );
}

function draw_gallery() {
  segments(
    "galleries",
    [
      ["over", "Shown too often"],
      ["under", "Too rare"],
      ["tagged", "Tagged"],
      ["selection", `Selection (${count(selection.length)})`],
    ],
    gallery,
    (key) => {
      gallery = key;
      draw_gallery();
    },
  );
  const chosen = { selection: () => selection, tagged }[gallery]?.().filter(passes);
  const rows = sorted(chosen ?? ordered(gallery === "under")).slice(0, 4 * GALLERY);
  const total = chosen ? chosen.length : all().filter((p) => data.points.set[p] === 0).length;
  $("count").textContent =
    gallery === "selection" && !selection.length
      ? "Draw round some dots on the map, or click a bar."
      : `${count(rows.length)} of ${count(total)} shown`;
  const { columns } = data.sprite,
    n = data.points.item.length,
    refocus = focus_in($("thumbs"));
  $("thumbs").innerHTML = rows
    .map(
      (p) =>
        `<button type="button" class="thumb" data-point="${p}" aria-pressed="${p === current}" ` +
        `aria-label="${TITLES[set_of(p)]}, ${escaped(file_of(p))}, ${factor(ratio(p))}" ` +
        `style="${sprite_style(p, links.sprite, columns, n)}"><i style="background:${COLOUR[set_of(p)]}"></i>` +
        `<b hidden>●</b></button>`,
    )
    .join("");
  draw_tagged();
  refocus();
  $("exports").hidden = !selection.length;
  $("reference").disabled = !selection.some((p) => data.points.set[p] === 0);
}

function draw_drawn() {
  const { shown, there, seed } = data.drawn,
    total = data.biased.n + data.reference.n,
    placed = Object.values(data.maps)[0]?.x.filter((x) => x !== null).length;
  const off =
    placed === undefined || placed === shown
      ? ""
      : ` ${count(shown - placed)} of them, scored after the map was drawn, are in the galleries and the histogram's range only.`;
  const drawn = `${count(shown)} of ${count(total)} images, those of the large set drawn at random (seed ${seed}).`;
  $("drawn").textContent = shown < total ? drawn + off : `All ${count(total)} images.${off}`;
  $("more").hidden = shown >= there;
  $("more").textContent = `Add the other ${count(there - shown)}`;
}

function draw() {
  for (const part of [draw_strip, draw_histogram, draw_map, draw_gallery, draw_trust, draw_drawn, draw_panel])
    try {
      part();
    } catch (problem) {
      reportError(problem); // the other parts are drawn all the same
    }
  $("slider").max = data.levels.length - 1;
  $("slider").value = level;
  $("slider").setAttribute("aria-valuetext", `Noise level ${level_name(data.levels[level].sigma)}`);
}
function go(to) {
  level = to;
  if (layout !== "-1") layout = String(to);
  draw();
}
function inspect(p) {
  current = p;
  draw_strip();
  draw_map();
  draw_gallery();
  draw_panel();
}
// A range of the ratio itself, as the axis has it. An end that is left empty is open, and so are the outer ends of the
// bars.
const within = ([from, to]) => all().filter((p) => Math.exp(ratio(p)) >= from && Math.exp(ratio(p)) <= to);
function range_of(bar) {
  const { edges } = data.levels[level].histogram;
  return [bar === 0 ? 0 : Math.exp(edges[bar]), bar === edges.length - 2 ? Infinity : Math.exp(edges[bar + 1])];
}
function select_range(from, to) {
  $("reversed").hidden = from <= to;
  if (from > to) return;
  $("from").value = from > 0 ? Number(from.toPrecision(3)) : "";
  $("to").value = Number.isFinite(to) ? Number(to.toPrecision(3)) : "";
  select(within([from, to]));
}
// The lasso's outline is dropped once it is used: plotly would apply it again to every new layout.
function select(rows) {
  selection = rows;
  gallery = rows.length ? "selection" : "over";
  draw_gallery();
  setTimeout(() => {
    if (($("map").layout?.selections || []).length) Plotly.relayout($("map"), { selections: [] });
    draw_map();
  });
}
