// A plotly figure drawn from JSON (props.value: {data, layout, alt}), updated in place. Intervals come as they were
// measured ([low, high] in "interval"); plotly wants distances from the point, so they are turned here.
const FONT = { family: "IBM Plex Sans, system-ui, sans-serif", size: 13.5, color: "#5a6473" };
const axis = { gridcolor: "#e9e6df", zeroline: false, linecolor: "#e4e1da", automargin: true };
function draw() {
  const figure = typeof props.value === "string" ? JSON.parse(props.value || "null") : props.value;
  const chart = element.querySelector(".chart");
  element.style.display = figure ? "" : "none";
  if (!figure) { Plotly.purge(chart); return; }
  for (const trace of figure.data) {
    if (trace.type === "scatter") trace.cliponaxis = false;
    if (!trace.interval) continue;
    trace.error_y = { type: "data", symmetric: false, thickness: 1.6, width: 5, color: trace.interval_color || "#16202e",
      array: trace.interval.map((i, k) => i[1] - trace.y[k]), arrayminus: trace.interval.map((i, k) => trace.y[k] - i[0]) };
    trace.customdata = trace.interval.map((i, k) => [i[0], i[1], trace.n ? trace.n[k] : ""]);
  }
  const layout = { font: FONT, margin: { l: 52, r: 10, t: 10, b: 40 }, paper_bgcolor: "rgba(0,0,0,0)", plot_bgcolor: "rgba(0,0,0,0)", hovermode: "closest", dragmode: false, ...figure.layout };
  for (const name of ["xaxis", "yaxis"]) layout[name] = { ...axis, ...layout[name] };
  chart.style.height = `${layout.height || 260}px`;
  chart.setAttribute("role", "img");
  chart.setAttribute("aria-label", figure.alt);
  Plotly.react(chart, figure.data, layout, { displayModeBar: false, responsive: true });
}
new ResizeObserver(() => { const c = element.querySelector(".js-plotly-plot"); if (c && c.offsetWidth) Plotly.Plots.resize(c); }).observe(element);
watch("value", draw);
draw();
