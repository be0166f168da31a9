// The same seeds pair by pair: side by side, one over the other, or split by a slider; all pairs or those whose attributes changed.
// One sheet a page of seeds comes from the server: baselines in its first row, debiased in its second.
const SHOWN = 24;
let page = 0, shown = null, how = "beside", changed = false, split = 50;
const at = (i, n) => (n > 1 ? (100 * i) / (n - 1) : 0);
const safe = (text) => String(text).replace(/[&<>"']/g, (c) => `&#${c.charCodeAt(0)};`);
function items(value) {
  const found = [];
  value.pages.forEach((seeds, p) =>
    seeds.forEach((seed, k) => found.push({ seed, k, n: seeds.length, url: `${value.base}/${p + 1}.webp`, labels: value.labels?.[found.length] }))
  );
  return changed ? found.filter((x) => x.labels && x.labels[0] !== x.labels[1]) : found;
}
function half(x, row, extra = "") {
  return `<i style="background-image:url(${x.url});background-size:${100 * x.n}% 200%;background-position:${at(x.k, x.n)}% ${100 * row}%;${extra}"></i>`;
}
function pictures(x) {
  if (how === "beside") return half(x, 0) + half(x, 1);
  const over = how === "slider" ? `clip-path:inset(0 0 0 ${split}%)` : "";
  return `<button type="button" class="over ${how}" aria-label="Seed ${x.seed}: press for the other model">${half(x, 0)}${half(x, 1, over)}</button>`;
}
function words(x) {
  if (!x.labels) return "";
  const [before, after] = x.labels.map(safe);
  return before === after ? `<small>${before}</small>` : `<small><b>${before} → ${after}</b></small>`;
}
function draw() {
  const value = typeof props.value === "string" ? JSON.parse(props.value || "null") : props.value;
  const box = element.querySelector(".pairs-box");
  if (!value) { box.innerHTML = ""; shown = null; return; }
  if (shown !== value.base) { shown = value.base; page = 0; changed = false; }
  const all = items(value), pages = Math.max(1, Math.ceil(all.length / SHOWN));
  page = Math.min(page, pages - 1);
  const part = all.slice(page * SHOWN, (page + 1) * SHOWN);
  const mode = (name, title) => `<button type="button" class="ghost" data-how="${name}" aria-pressed="${how === name}">${title}</button>`;
  box.innerHTML = `<section class="tiw-card" tabindex="0" aria-label="Pairs; arrow keys turn pages, f flips"><div class="ex-bar"><div><h3>Pair by pair</h3>
    <div class="legend"><span><span class="dot baseline"></span>baseline</span><span><span class="dot debiased"></span>debiased, same seed</span></div></div>
    <div class="ex-bar">${mode("beside", "Side by side")}${mode("flip", "Flip")}${mode("slider", "Slider")}
    ${value.labels ? `<button type="button" class="ghost" data-changed aria-pressed="${changed}">Only changed</button>` : ""}
    <button type="button" class="ghost" data-by="-1">← Previous</button><span class="hint" aria-live="polite">page ${page + 1} of ${pages}, ${all.length.toLocaleString("en")} pairs</span><button type="button" class="ghost" data-by="1">Next →</button></div></div>
    ${how === "slider" ? `<input type="range" min="0" max="100" value="${split}" aria-label="Baseline left of it, debiased right of it" style="width:100%">` : ""}
    <div class="pairs">${part.map((x) => `<div class="pair" role="group" aria-label="Seed ${x.seed}: baseline and debiased">${pictures(x)}<span>seed ${x.seed} ${words(x)}</span></div>`).join("")}</div>
    ${part.length ? "" : `<p class="hint">No pair changed in its attributes.</p>`}</section>`;
  const turn = (by) => { const to = page + by; if (to >= 0 && to < pages) { page = to; draw(); } };
  box.querySelectorAll("[data-by]").forEach((b) => { const by = Number(b.dataset.by); b.disabled = page + by < 0 || page + by >= pages; b.onclick = () => turn(by); });
  box.querySelectorAll("[data-how]").forEach((b) => { b.onclick = () => { how = b.dataset.how; draw(); }; });
  box.querySelectorAll("[data-changed]").forEach((b) => { b.onclick = () => { changed = !changed; page = 0; draw(); }; });
  box.querySelectorAll(".over").forEach((b) => { b.onclick = () => b.classList.toggle("first"); });
  const range = box.querySelector("input[type=range]");
  if (range) range.oninput = () => { split = Number(range.value); box.querySelectorAll(".over i:last-child").forEach((i) => { i.style.clipPath = `inset(0 0 0 ${split}%)`; }); };
  box.querySelector("section").onkeydown = (event) => {
    if (event.target.matches("input")) return;
    const act = { ArrowLeft: () => turn(-1), ArrowRight: () => turn(1), f: () => box.querySelectorAll(".over").forEach((b) => b.classList.toggle("first")) }[event.key];
    if (act) { event.preventDefault(); act(); element.querySelector(".pairs-box section").focus(); }
  };
}
watch("value", draw);
draw();
