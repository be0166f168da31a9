// A plotly figure drawn from JSON (props.value: {data, layout, alt}), updated in place, its data as CSV. Intervals come
// as they were measured ([low, high] in "interval"); plotly wants distances from the point, so they are turned here.
const css = (name) => getComputedStyle(document.body).getPropertyValue(`--${name}`).trim(); // light or dark
const FONT = { family: "IBM Plex Sans, system-ui, sans-serif", size: 13.5, color: css("muted") };
const axis = { gridcolor: css("line"), zeroline: false, linecolor: css("line"), automargin: true, fixedrange: true };
const inked = (text) => JSON.parse((text || "null").replaceAll("#16202e", css("ink")));
const read = () => (typeof props.value === "string" ? inked(props.value) : props.value);
// A label of the user's, in which plotly would find links and tags.
const plain = (label) => String(label).replace(/[&<>]/g, (c) => ({ "&": "&amp;", "<": "&lt;", ">": "&gt;" })[c]);
function draw() {
  const figure = read();
  const chart = element.querySelector(".chart");
  element.querySelector(".chart-card").classList.toggle("drawn", !!figure);
  if (!figure) {
    Plotly.purge(chart);
    return;
  }
  for (const trace of figure.data) {
    if (Array.isArray(trace.x[0])) trace.x = trace.x.map((level) => level.map(plain));
    if (trace.type === "scatter") trace.cliponaxis = false;
    if (!trace.interval) continue;
    trace.error_y = {
      type: "data",
      symmetric: false,
      thickness: 1.6,
      width: 5,
      color: trace.interval_color || css("ink"),
      array: trace.interval.map((i, k) => i[1] - trace.y[k]),
      arrayminus: trace.interval.map((i, k) => trace.y[k] - i[0]),
    };
    trace.customdata = trace.interval.map((i, k) => [i[0], i[1], trace.n ? trace.n[k] : ""]);
  }
  const layout = {
    font: FONT,
    margin: { l: 52, r: 10, t: 10, b: 40 },
    paper_bgcolor: "rgba(0,0,0,0)",
    plot_bgcolor: "rgba(0,0,0,0)",
    hovermode: "closest",
    dragmode: false,
    ...figure.layout,
  };
  for (const name of ["xaxis", "yaxis"])
    layout[name] = { ...axis, ...layout[name], title: { ...layout[name]?.title, font: { size: 13 } } };
  chart.style.height = `${layout.height || 260}px`;
  chart.setAttribute("role", "img");
  chart.setAttribute("aria-label", figure.alt);
  Plotly.react(chart, figure.data, layout, { displayModeBar: false, responsive: true });
}
// One row for each point: the trace's name, x (the categories of nested ones apart), y, and the interval and n where
// there are any. An interval that is only said when one points at it is in "customdata".
function rows(figure) {
  const traces = figure.data.filter((t) => t.hoverinfo !== "skip"),
    nested = traces.some((t) => Array.isArray(t.x[0]));
  const title = (name) => figure.layout[name]?.title?.text || name[0];
  const head = ["series", ...(nested ? ["group", "value"] : [title("xaxis")]), title("yaxis"), "low", "high", "n"];
  const of = (t) =>
    t.y.map((y, k) => [
      t.name || title("yaxis"),
      ...(nested ? t.x.map((level) => level[k]) : [t.x[k]]),
      y,
      ...((t.interval || t.customdata)?.[k] || ["", ""]),
      t.n?.[k] ?? "",
    ]);
  return [head, ...traces.flatMap(of)];
}
element.querySelector("button").onclick = () => {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(new Blob([as_csv(rows(read()))], { type: "text/csv" }));
  link.download = `${element.querySelector(".chart-title").textContent.toLowerCase().replace(/\W+/g, "-")}.csv`;
  link.click();
  URL.revokeObjectURL(link.href);
};
new ResizeObserver(() => {
  const c = element.querySelector(".js-plotly-plot");
  if (c && c.offsetWidth) Plotly.Plots.resize(c);
}).observe(element);
watch("value", draw);
draw();
