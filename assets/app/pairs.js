// The same seeds pair by pair, one sheet a page: baselines in its first row, debiased in its second.
let page = 0, shown = null;
const at = (i, n) => (n > 1 ? (100 * i) / (n - 1) : 0);
function draw() {
  const value = typeof props.value === "string" ? JSON.parse(props.value || "null") : props.value;
  const box = element.querySelector(".pairs-box");
  if (!value) { box.innerHTML = ""; shown = null; return; }
  if (shown !== value.base) { shown = value.base; page = 0; }
  const seeds = value.pages[page], url = `${value.base}/${page + 1}.webp`;
  const half = (k, row) => `<i style="background-image:url(${url});background-size:${100 * seeds.length}% 200%;background-position:${at(k, seeds.length)}% ${100 * row}%"></i>`;
  box.innerHTML = `<section class="tiw-card"><div class="ex-bar"><div><h3>Pair by pair</h3>
    <div class="legend"><span><span class="dot baseline"></span>left: baseline</span><span><span class="dot debiased"></span>right: debiased, same seed</span></div></div>
    <div class="ex-bar"><button type="button" class="ghost" data-by="-1">← Previous</button><span class="hint" aria-live="polite">page ${page + 1} of ${value.pages.length}</span><button type="button" class="ghost" data-by="1">Next →</button></div></div>
    <div class="pairs">${seeds.map((seed, k) => `<div class="pair" role="img" aria-label="Seed ${seed}: baseline and debiased">${half(k, 0)}${half(k, 1)}<span>seed ${seed}</span></div>`).join("")}</div></section>`;
  box.querySelectorAll("[data-by]").forEach((b) => {
    const to = page + Number(b.dataset.by);
    b.disabled = to < 0 || to >= value.pages.length;
    b.onclick = () => { page = to; draw(); };
  });
}
watch("value", draw);
draw();
