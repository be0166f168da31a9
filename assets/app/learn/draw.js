// Pictures of the plane on canvases, and small charts in SVG. Colours come from the sheet, so that they follow light
// and dark.
const colour = (name) => getComputedStyle(element).getPropertyValue(`--${name}`).trim();
const rgb = (hex) =>
  [1, 3, 5].map((i) =>
    Number.parseInt(hex.length === 4 ? hex[(i + 1) / 2] + hex[(i + 1) / 2] : hex.slice(i, i + 2), 16),
  );
const percent = (value, digits = 0) =>
  value === null || value === undefined || Number.isNaN(value)
    ? "–"
    : `${(100 * value).toFixed(digits).replace("-", "−")} %`;
const plain = (value, digits = 2) => Number(value).toFixed(digits).replace("-", "−");
const sigma_name = (sigma) => String(Number(sigma.toPrecision(2)));
const $ = (name) => element.querySelector(`[data-${name}]`);

// How far the view reaches from the middle: noise spreads the points, so it steps back as the level grows.
const reach_of = (sigma) => 4.4 + 1.7 * sigma;

// A canvas made as sharp as the screen; null while it is not on it.
function paper(canvas) {
  const side = canvas.clientWidth,
    sharp = Math.min(2, window.devicePixelRatio || 1);
  if (!side) return null;
  if (canvas.width !== Math.round(side * sharp)) canvas.width = canvas.height = Math.round(side * sharp);
  const pen = canvas.getContext("2d");
  pen.setTransform(sharp, 0, 0, sharp, 0, 0);
  pen.clearRect(0, 0, side, side);
  return { pen, side };
}

function frame({ pen, side }, reach) {
  const step = [1, 2, 5, 10, 20].find((s) => reach / s < 3.2) || 20,
    at = (v) => (side * (v + reach)) / (2 * reach);
  pen.strokeStyle = colour("line");
  pen.fillStyle = colour("muted");
  pen.lineWidth = 1;
  pen.font = "11px system-ui, sans-serif";
  for (let v = -Math.floor(reach / step) * step; v <= reach; v += step) {
    pen.globalAlpha = 0.8;
    pen.beginPath();
    pen.moveTo(at(v), 0);
    pen.lineTo(at(v), side);
    pen.moveTo(0, at(v));
    pen.lineTo(side, at(v));
    pen.stroke();
    pen.globalAlpha = 1;
    if (v && at(v) > 12 && at(v) < side - 12) {
      pen.textAlign = "center";
      pen.fillText(plain(v, 0), at(v), side - 4);
    }
  }
}

function dots({ pen, side }, points, reach, fill, radius, alpha) {
  pen.fillStyle = fill;
  pen.globalAlpha = alpha;
  for (let i = 0; i < points.length; i += 2) {
    const x = (side * (points[i] + reach)) / (2 * reach),
      y = (side * (reach - points[i + 1])) / (2 * reach);
    if (x < -4 || y < -4 || x > side + 4 || y > side + 4) continue;
    pen.beginPath();
    pen.arc(x, y, radius, 0, 7);
    pen.fill();
  }
  pen.globalAlpha = 1;
}

// log r as colour, from orange (shown too often) over paper to blue (missing), full at +-RANGE.
const RANGE = 3,
  CELLS = 64;
const cells = document.createElement("canvas");
cells.width = cells.height = CELLS;
function field(canvas, log_r, reach) {
  const sheet = paper(canvas);
  if (!sheet) return;
  const low = rgb(colour("biased")),
    middle = rgb(colour("card")),
    high = rgb(colour("reference"));
  const image = new ImageData(CELLS, CELLS);
  for (let row = 0; row < CELLS; row++)
    for (let column = 0; column < CELLS; column++) {
      const x = reach * ((2 * (column + 0.5)) / CELLS - 1),
        y = reach * (1 - (2 * (row + 0.5)) / CELLS);
      const t = Math.max(-1, Math.min(1, log_r(x, y) / RANGE)),
        end = t < 0 ? low : high,
        at = 4 * (row * CELLS + column),
        depth = Math.abs(t) ** 0.8;
      for (let c = 0; c < 3; c++) image.data[at + c] = middle[c] + depth * (end[c] - middle[c]);
      image.data[at + 3] = 255;
    }
  cells.getContext("2d").putImageData(image, 0, 0);
  sheet.pen.imageSmoothingEnabled = true;
  sheet.pen.drawImage(cells, 0, 0, sheet.side, sheet.side);
  return sheet;
}

// Lines over the noise levels: lines = [{name, values, colour, dash}]; y from low to high, ticks given; the chosen
// level is marked.
function level_chart(box, { sigmas, lines, low, high, log, ticks, show, chosen, alt }) {
  const width = Math.max(280, box.clientWidth || 480),
    height = 230,
    left = 46,
    right = width - 10,
    top = 10,
    bottom = height - 38;
  const scale = (v) => (log ? Math.log(Math.max(v, low)) : v),
    x = (i) => left + ((right - left) * i) / (sigmas.length - 1);
  const y = (v) =>
    bottom - ((bottom - top) * (Math.min(scale(v), scale(high)) - scale(low))) / (scale(high) - scale(low));
  const grid = ticks.map(
    (v) =>
      `<path d="M${left} ${y(v)}H${right}" stroke="var(--line)"/><text x="${left - 7}" y="${y(v) + 4}" text-anchor="end">${show(v)}</text>`,
  );
  const marks = sigmas.map((s, i) =>
    i % 2 ? "" : `<text x="${x(i)}" y="${bottom + 17}" text-anchor="middle">${sigma_name(s)}</text>`,
  );
  const drawn = lines.map((l) => {
    const path = l.values.map((v, i) => `${i ? "L" : "M"}${x(i).toFixed(1)} ${y(v).toFixed(1)}`).join("");
    return (
      `<path d="${path}" fill="none" stroke="${l.colour}" stroke-width="2.4" stroke-dasharray="${l.dash || ""}" stroke-linejoin="round"/>` +
      (l.dash
        ? ""
        : l.values
            .map((v, i) => `<circle cx="${x(i)}" cy="${y(v)}" r="${i === chosen ? 5 : 2.6}" fill="${l.colour}"/>`)
            .join(""))
    );
  });
  box.innerHTML = `<svg viewBox="0 0 ${width} ${height}" width="100%" height="${height}" role="img"><rect x="${x(chosen) - 9}" y="${top}" width="18" height="${bottom - top}" rx="5" fill="var(--soft)"/>
    <g font-size="12" fill="var(--muted)">${grid.join("")}${marks.join("")}<text x="${(left + right) / 2}" y="${height - 4}" text-anchor="middle">noise level σ</text></g>${drawn.join("")}</svg>`;
  box.firstChild.setAttribute("aria-label", alt);
}
