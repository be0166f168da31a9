function save(name, rows) {
  download(name, new Blob([as_csv(rows)], { type: "text/csv" }));
}
function download(name, blob) {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(blob);
  link.download = name;
  link.click();
  URL.revokeObjectURL(link.href);
}
function table(points, more = [], values = () => []) {
  const attributes = Object.keys(data.points.attributes);
  const head = [
    "set",
    "file",
    "row",
    "item",
    "tags",
    ...attributes.map((name) => `label: ${name}`), // as in scores.csv: one may be called “set” or “file”
    ...data.levels.map((l) => `log_ratio_at_${level_name(l.sigma)}`),
    ...more,
  ];
  return [
    head,
    ...points.map((p) => [
      set_of(p),
      file_of(p),
      data.points.index[p],
      data.points.item[p],
      tags_of(p).join("; "),
      ...attributes.map((name) => label_of(p, name)),
      ...data.points.log_ratio.map((r) => r[p]),
      ...values(p),
    ]),
  ];
}
const tables = {
  selection: () => table(selection),
  tags: () => table(tagged()),
  map: () => {
    const where = data.maps[layout] || data.maps["-1"];
    return where ? table(all(), ["x", "y"], (p) => [where.x[p] ?? "", where.y[p] ?? ""]) : table(all());
  },
  histogram: () => [
    ["noise level", "from", "to", "biased density", "reference density"],
    ...data.levels.flatMap((l) =>
      l.histogram.biased.map((b, i) => [
        l.sigma,
        l.histogram.edges[i],
        l.histogram.edges[i + 1],
        b,
        l.histogram.reference[i],
      ]),
    ),
  ],
  reliability: () => [
    ["noise level", "predicted", "observed", "n"],
    ...data.levels.flatMap((l) => l.reliability.map((b) => [l.sigma, b.predicted, b.observed, b.n])),
  ],
};
async function save_images() {
  $("zip").disabled = true;
  try {
    const answer = await fetch(links.zip, {
      method: "POST",
      body: JSON.stringify({ items: selection.map((p) => data.points.item[p]) }),
    });
    if (answer.ok) download("selection.zip", await answer.blob());
    else $("count").textContent = "The images could not be packed. Is the run still there?";
  } finally {
    $("zip").disabled = false;
  }
}
function move_to_reference() {
  const items = selection.filter((p) => data.points.set[p] === 0).map((p) => data.points.item[p]);
  trigger("select", { value: { run: data.run, items } });
}

function controls() {
  const attributes = Object.keys(data.points.attributes);
  $("colours").innerHTML =
    `<option value="set">set</option><option value="ratio">density ratio</option>${attributes.map((_, k) => `<option value="${k}"></option>`).join("")}`;
  attributes.forEach((name, k) => {
    $("colours").options[k + 2].textContent = name;
  });
  $("only").replaceChildren(
    new Option("all images", ""),
    ...attributes.flatMap((name) =>
      [
        ...data.points.attributes[name].values,
        ...(data.points.attributes[name].codes.includes(-1) ? ["not known"] : []),
      ].map((value) => new Option(`${name}: ${value}`, JSON.stringify([name, value]))),
    ),
  );
  $("only").value = only;
  $("colours").selectedIndex = Math.max(0, ["set", "ratio", ...attributes].indexOf(colour));
  $("layouts").value = layout === "-1" ? "-1" : "level";
  segments(
    "modes",
    [
      ["lasso", "Lasso"],
      ["select", "Box"],
      ["pan", "Move"],
    ],
    mode,
    (key) => {
      mode = key;
      controls();
      draw_map();
    },
  );
}

function wire() {
  $("slider").oninput = (e) => go(Number(e.target.value));
  $("colours").onchange = (e) => {
    colour = ["set", "ratio", ...Object.keys(data.points.attributes)][e.target.selectedIndex];
    draw_map();
  };
  $("layouts").onchange = (e) => {
    layout = e.target.value === "-1" ? "-1" : String(level);
    draw_map();
  };
  $("range").onsubmit = (e) => {
    e.preventDefault();
    select_range(Number($("from").value), $("to").value === "" ? Infinity : Number($("to").value));
  };
  $("thumbs").onclick = (e) => {
    const b = e.target.closest("[data-point]");
    if (b) inspect(Number(b.dataset.point));
  };
  element.querySelectorAll("[data-csv]").forEach((b) => {
    b.onclick = () => save(`${b.dataset.csv}.csv`, tables[b.dataset.csv]());
  });
  $("only").onchange = (e) => {
    only = e.target.value;
    draw();
  };
  $("sorting").onchange = (e) => {
    sorting = e.target.value;
    draw_gallery();
  };
  $("tag-all").onclick = () => {
    const word = prompt(`One or more tags for ${count(selection.length)} images, with commas between:`);
    if (word === null) return;
    set_tags(selection, split_tags(word));
    draw_gallery();
    draw_panel();
  };
  $("tags-in").onchange = (e) => {
    if (e.target.files[0]) load_tags(e.target.files[0]);
    e.target.value = "";
  };
  $("better").onclick = () => {
    data.maps = better;
    better = null;
    $("better").hidden = true;
    draw_map();
  };
  $("zip").onclick = save_images;
  $("reference").onclick = move_to_reference;
  $("more").onclick = () => {
    everything = true;
    $("more").textContent = "Loading…";
    load();
  };
  const chart = $("histogram"),
    map = $("map");
  if (!chart.wired) {
    chart.wired = true;
    chart.on("plotly_unhover", () => show_tip([]));
    chart.on("plotly_hover", (e) => show_tip(within(range_of(e.points[0].pointIndex)), e.event));
    chart.on("plotly_click", (e) => {
      select_range(...range_of(e.points[0].pointIndex));
      if (walk().length) inspect(walk()[0]);
    });
  }
  if (map.on && !map.wired) {
    map.wired = true;
    map.on("plotly_selected", (e) => {
      if (e && e.points.length) select([...new Set(e.points.map((x) => x.customdata))]);
    });
    map.on("plotly_deselect", () => select([]));
    map.on("plotly_click", (e) => inspect(e.points[0].customdata));
    map.on("plotly_hover", (e) => show_tip([e.points[0].customdata], e.event));
    map.on("plotly_unhover", () => show_tip([]));
  }
}

let loading = null,
  better = null;
async function load() {
  const box = element.querySelector(".explorer");
  const value = typeof props.value === "string" ? JSON.parse(props.value || "null") : props.value;
  if (!value) {
    box.hidden = true;
    data = loading = null;
    return;
  }
  const other = !data || data.run !== value.run;
  if (other) everything = false;
  const url = value.url + (everything ? "&all=1" : "");
  if (loading === url) return;
  loading = url;
  const fresh = await fetch(url)
    .then((answer) => (answer.ok ? answer.json() : null))
    .catch(() => null);
  if (loading !== url) return; // another run, or more of this one, was asked for meanwhile
  if (!fresh) {
    loading = null;
    setTimeout(load, 3000);
    return;
  } // the next try may find the app again
  const kept = other ? [] : [...selection, ...(current === null ? [] : [current])].map((p) => data.points.item[p]);
  const before = data?.maps;
  // A layout that is on screen stays where it is until the better one is asked for.
  const moved =
    !other &&
    before?.["-1"] &&
    fresh.points.item.length === data.points.item.length &&
    JSON.stringify(before["-1"]) !== JSON.stringify(fresh.maps["-1"]);
  better = moved ? fresh.maps : null;
  if (moved) fresh.maps = { ...fresh.maps, "-1": before["-1"] };
  data = fresh;
  links = { ...value, sprite: value.sprite + (everything ? "&all=1" : "") };
  const place = new Map(data.points.item.map((item, p) => [item, p])),
    found = kept.map((item) => place.get(item));
  if (other) {
    selection = [];
    current = null;
    gallery = "over";
    layout = "-1";
    colour = "ratio";
    only = "";
    level = data.start;
    read_tags();
  } else {
    if (current !== null) current = found.pop() ?? null;
    selection = found.filter((p) => p !== undefined);
  }
  box.hidden = false;
  $("better").hidden = !better;
  controls();
  draw();
  wire();
}
// "Copy link" buttons, wherever they stand.
if (!document.copies) {
  document.copies = true;
  document.addEventListener("click", async (e) => {
    const button = e.target.closest("[data-copy]");
    if (!button) return;
    const text = button.dataset.copy.startsWith("?")
      ? location.origin + location.pathname + button.dataset.copy
      : document.getElementById(button.dataset.copy)?.innerText;
    try {
      await navigator.clipboard.writeText(text);
      button.textContent = "Copied";
    } catch {
      prompt("Copy this:", text);
    }
  });
}
document.addEventListener("keydown", (e) => {
  if (e.key === "Escape" && data && current !== null) close_panel();
});
new ResizeObserver(() =>
  element.querySelectorAll(".js-plotly-plot").forEach((p) => p.offsetWidth && Plotly.Plots.resize(p)),
).observe(element);
watch("value", load);
load();
