// The same seeds model by model: side by side, one over the other, or split by a slider; all seeds or those whose
// attributes changed. One sheet a page of seeds comes from the server, with a row for each of the two to four models
// that are picked from the list.
const SHOWN = 24,
  MOST = 4;
let page = 0,
  shown = null,
  how = "beside",
  changed = false,
  split = 50,
  picked = [0, 1];
const at = (i, n) => (n > 1 ? (100 * i) / (n - 1) : 0);
const safe = (text) => String(text).replace(/[&<>"']/g, (c) => `&#${c.charCodeAt(0)};`);
const differ = (x) => x.labels && x.labels.some((l) => l !== x.labels[0]);
const seen = () => (how === "slider" ? picked.slice(0, 2) : picked);
function items(value) {
  const found = [];
  value.pages.forEach((seeds, p) =>
    seeds.forEach((seed, k) => {
      const labels = value.labels?.[found.length];
      found.push({
        seed,
        k,
        n: seeds.length,
        url: `${value.base}/${p + 1}.webp?m=${picked.join(",")}`,
        labels: labels && seen().map((m) => labels[m]),
      });
    }),
  );
  return changed ? found.filter(differ) : found;
}
function cell(x, row, extra = "") {
  return `<i style="background-image:url('${x.url}');background-size:${100 * x.n}% ${100 * picked.length}%;background-position:${at(x.k, x.n)}% ${at(row, picked.length)}%;${extra}"></i>`;
}
function pictures(x) {
  if (how === "beside") return picked.map((_, row) => cell(x, row)).join("");
  const rows = how === "slider" ? [0, 1] : picked.map((_, row) => row);
  const style = (row) =>
    how === "slider"
      ? row
        ? `clip-path:inset(0 0 0 ${split}%)`
        : ""
      : row === rows.length - 1
        ? ""
        : "visibility:hidden";
  return `<button type="button" class="over ${how}" data-at="${rows.length - 1}" aria-label="Seed ${x.seed}: press for the next model">${rows.map((row) => cell(x, row, style(row))).join("")}</button>`;
}
function flip(button) {
  const layers = [...button.querySelectorAll("i")];
  if (how === "slider") {
    button.classList.toggle("first");
    return;
  }
  const next = (Number(button.dataset.at) + 1) % layers.length;
  button.dataset.at = next;
  layers.forEach((layer, row) => {
    layer.style.visibility = row === next ? "visible" : "hidden";
  });
}
const words = (x) =>
  !x.labels
    ? ""
    : differ(x)
      ? `<small><b>${x.labels.map(safe).join(" → ")}</b></small>`
      : `<small>${safe(x.labels[0])}</small>`;
function draw() {
  const value = typeof props.value === "string" ? JSON.parse(props.value || "null") : props.value;
  const box = element.querySelector(".pairs-box");
  if (!value) {
    box.innerHTML = "";
    shown = null;
    return;
  }
  if (shown !== value.base) {
    shown = value.base;
    page = 0;
    changed = false;
    picked = [0, 1];
  }
  const all = items(value),
    pages = Math.max(1, Math.ceil(all.length / SHOWN));
  page = Math.min(page, pages - 1);
  const part = all.slice(page * SHOWN, (page + 1) * SHOWN);
  const mode = (name, title) =>
    `<button type="button" class="ghost" data-how="${name}" aria-pressed="${how === name}">${title}</button>`;
  const dot = (m) => (["baseline", "debiased"].includes(m.name) ? `<span class="dot ${m.name}"></span>` : "");
  const choice = (m, k) => {
    const on = picked.includes(k);
    const fixed = on ? picked.length <= 2 : picked.length >= MOST;
    return (
      `<label><input type="checkbox" data-model="${k}" ${on ? "checked" : ""} ${fixed ? "disabled" : ""}> ` +
      `${on ? `${picked.indexOf(k) + 1}. ` : ""}${safe(m.title)}</label>`
    );
  };
  const [first, second] = picked.map((k) => safe(value.models[k].title));
  const slider =
    `<input type="range" min="0" max="100" value="${split}" ` +
    `aria-label="${first} left of it, ${second} right of it" style="width:100%">`;
  const legend =
    value.models.length > 2
      ? `<fieldset class="models"><legend>Two to four models, in the order of the list</legend>${value.models.map(choice).join("")}</fieldset>`
      : `<div class="legend">${value.models.map((m, k) => `<span>${dot(m)}${safe(m.title)}${k ? ", same seed" : ""}</span>`).join("")}</div>`;
  const names = picked.map((k) => safe(value.models[k].name)).join(" and ");
  const pair = (x) =>
    `<div class="pair" role="group" aria-label="Seed ${x.seed}: ${names}">${pictures(x)}` +
    `<span>seed ${x.seed} ${words(x)}</span></div>`;
  const refocus = focus_in(box, () => box.querySelector("section"));
  box.innerHTML = `<section class="tiw-card" tabindex="0" aria-label="Pairs; arrow keys turn pages, f flips"><div class="ex-bar"><div><h3>Pair by pair</h3></div>
    <div class="ex-bar">${mode("beside", "Side by side")}${mode("flip", "Flip")}${mode("slider", "Slider")}
    ${value.labels ? `<button type="button" class="ghost" data-changed aria-pressed="${changed}">Only changed</button>` : ""}
    <button type="button" class="ghost" data-by="-1">← Previous</button><span class="hint" aria-live="polite">page ${page + 1} of ${pages}, ${all.length.toLocaleString("en")} pairs</span><button type="button" class="ghost" data-by="1">Next →</button></div></div>${legend}
    ${how === "slider" ? slider : ""}
    <div class="pairs" style="--models:${how === "beside" ? picked.length : 2}">${part.map(pair).join("")}</div>
    ${part.length ? "" : `<p class="hint">No pair changed in its attributes.</p>`}</section>`;
  const turn = (by) => {
    const to = page + by;
    if (to >= 0 && to < pages) {
      page = to;
      draw();
    }
  };
  box.querySelectorAll("[data-by]").forEach((b) => {
    const by = Number(b.dataset.by);
    b.disabled = page + by < 0 || page + by >= pages;
    b.onclick = () => turn(by);
  });
  box.querySelectorAll("[data-how]").forEach((b) => {
    b.onclick = () => {
      how = b.dataset.how;
      draw();
    };
  });
  box.querySelectorAll("[data-changed]").forEach((b) => {
    b.onclick = () => {
      changed = !changed;
      page = 0;
      draw();
    };
  });
  box.querySelectorAll("[data-model]").forEach((b) => {
    b.onchange = () => {
      const k = Number(b.dataset.model);
      picked = (b.checked ? [...picked, k] : picked.filter((m) => m !== k)).sort((a, c) => a - c);
      draw();
    };
  });
  box.querySelectorAll(".over").forEach((b) => {
    b.onclick = () => flip(b);
  });
  const range = box.querySelector("input[type=range]");
  if (range)
    range.oninput = () => {
      split = Number(range.value);
      box.querySelectorAll(".over i:last-child").forEach((i) => {
        i.style.clipPath = `inset(0 0 0 ${split}%)`;
      });
    };
  box.querySelector("section").onkeydown = (event) => {
    if (event.target.matches("input")) return;
    const act = {
      ArrowLeft: () => turn(-1),
      ArrowRight: () => turn(1),
      f: () => box.querySelectorAll(".over").forEach(flip),
    }[event.key];
    if (act) {
      event.preventDefault();
      act();
    }
  };
  refocus();
}
watch("value", draw);
draw();
