// The panel of one image, thumbnails on hover, and tags, which the browser keeps by file.
const escaped = (text) => String(text).replace(/[&<>"']/g, (c) => `&#${c.charCodeAt(0)};`);
const thumb = (p) => sprite_style(p, links.sprite, data.sprite.columns, data.points.item.length);

const TAGS = () => `tiw-tags-${data.biased.fingerprint?.sha256 ?? data.run}`;
let tags = {};
const tag_key = (p) => `${set_of(p)}/${file_of(p)}`;
const tags_of = (p) => tags[tag_key(p)] ?? [];
const tagged = () => data.points.set.map((_, p) => p).filter((p) => tags_of(p).length);
function read_tags() {
  try {
    tags = JSON.parse(localStorage.getItem(TAGS())) ?? {};
  } catch {
    tags = {};
  }
}
function keep_tags() {
  try {
    localStorage.setItem(TAGS(), JSON.stringify(tags));
  } catch {
    /* a private window keeps none */
  }
}
// Which images have tags, and how many. Nothing else is drawn when a tag's field is left: it is left by pressing
// something, and a button that is drawn anew under the mouse is never clicked.
function draw_tagged() {
  $("galleries").querySelector("[data-key=tagged]").textContent = `Tagged (${count(tagged().length)})`;
  $("thumbs")
    .querySelectorAll("[data-point]")
    .forEach((b) => {
      b.querySelector("b").hidden = !tags_of(Number(b.dataset.point)).length;
    });
}
function set_tags(points, words) {
  for (const p of points) {
    if (words.length) tags[tag_key(p)] = [...new Set(words)];
    else delete tags[tag_key(p)];
  }
  keep_tags();
}
const split_tags = (text) =>
  text
    .split(/[;,]/)
    .map((word) => word.trim())
    .filter(Boolean);
// A CSV that came from here, or one with the columns set, file and tags: fields may be quoted.
function read_csv(text) {
  const rows = [[""]];
  let quoted = false;
  for (let i = 0; i < text.length; i += 1) {
    const c = text[i],
      row = rows[rows.length - 1];
    if (quoted && c === '"' && text[i + 1] === '"') {
      row[row.length - 1] += '"';
      i += 1;
    } else if (c === '"') quoted = !quoted;
    else if (c === "," && !quoted) row.push("");
    else if (c === "\n" && !quoted) rows.push([""]);
    else if (c !== "\r") row[row.length - 1] += c;
  }
  return rows.filter((row) => row.length > 1);
}
async function load_tags(file) {
  const [head, ...rows] = read_csv(await file.text()),
    at = (name) => head?.indexOf(name) ?? -1;
  if (["set", "file", "tags"].some((name) => at(name) < 0)) {
    $("count").textContent = "This file has no columns set, file and tags.";
    return;
  }
  for (const row of rows) {
    const words = split_tags(as_written(row[at("tags")] ?? ""));
    if (words.length) tags[`${row[at("set")]}/${as_written(row[at("file")])}`] = words;
  }
  gallery = "tagged";
  keep_tags();
  draw_gallery();
  draw_panel();
}

function sorted(rows) {
  if (sorting === "file")
    return [...rows].sort((a, b) => file_of(a).localeCompare(file_of(b), "en", { numeric: true }));
  if (sorting) return [...rows].sort((a, b) => (sorting === "rare" ? ratio(b) - ratio(a) : ratio(a) - ratio(b)));
  return rows;
}

const neighbours = (p) => data.near?.[p] ?? [];
// The images that "previous" and "next" walk through: those of the gallery on screen.
const walk = () => [...$("thumbs").querySelectorAll("[data-point]")].map((b) => Number(b.dataset.point));
function draw_panel() {
  const box = $("panel"),
    refocus = focus_in(box);
  box.hidden = current === null;
  if (current === null) return;
  const p = current,
    other = TITLES[names[1 - data.points.set[p]]].toLowerCase(),
    near = neighbours(p);
  const labels = Object.keys(data.points.attributes)
    .map((name) => `<dt>${escaped(name)}</dt><dd>${escaped(label_of(p, name))}</dd>`)
    .join("");
  const strip = `${links.strip}/${data.points.item[p]}.webp`;
  const neighbour = (q) =>
    `<button type="button" class="thumb" data-point="${q}" aria-label="${escaped(file_of(q))}, ${factor(ratio(q))}" ` +
    `style="${thumb(q)}"></button>`;
  const nearest = near.map(neighbour).join("");
  box.innerHTML = `<div class="ex-bar"><b><span class="dot ${set_of(p)}"></span> ${TITLES[set_of(p)]}</b><button type="button" class="ghost" data-close aria-label="Close the panel">✕</button></div>
    <span class="large" role="img" aria-label="The image, large" style="${thumb(p)}"><img src="${links.image}/${data.points.item[p]}.webp" alt=""></span><div class="file">${escaped(file_of(p))}</div>
    <div class="factor">${factor(ratio(p))} <small>at noise level ${level_name(data.levels[level].sigma)}</small></div>
    <img class="noises" src="${strip}" alt="The image at every noise level"><dl>${labels}</dl>
    ${near.length ? `<div class="hint">Most similar to the model in the ${other}</div><div class="near">${nearest}</div>` : ""}
    <label class="tag">Tags <input type="text" data-tag value="${escaped(tags_of(p).join(", "))}" placeholder="for instance: wrong label"></label>
    <div class="ex-bar"><button type="button" class="ghost" data-step="-1">← Previous</button><button type="button" class="ghost" data-step="1">Next →</button></div>`;
  box.querySelector(".large img").onerror = (e) => e.target.remove(); // its thumbnail stays
  box.querySelector("[data-close]").onclick = close_panel;
  box.querySelector("[data-tag]").onchange = (e) => {
    set_tags([p], split_tags(e.target.value));
    draw_tagged();
    e.target.value = tags_of(p).join(", ");
  };
  box.querySelectorAll("[data-point]").forEach((b) => {
    b.onclick = () => inspect(Number(b.dataset.point));
  });
  box.querySelectorAll("[data-step]").forEach((b) => {
    const rows = walk(),
      at = rows.indexOf(p) + Number(b.dataset.step);
    b.disabled = rows[at] === undefined;
    b.onclick = () => inspect(rows[at]);
  });
  refocus();
}
// The focus goes back to the image in the gallery, or to the gallery's name.
function close_panel() {
  const held = $("panel").contains(document.activeElement),
    from = current;
  current = null;
  draw();
  if (!held) return;
  const chosen = $("thumbs").querySelector(`[data-point="${from}"]`);
  (chosen ?? $("galleries").querySelector("[aria-pressed=true]")).focus({ preventScroll: true });
}

function show_tip(points, event) {
  const tip = $("tip");
  tip.hidden = !points.length;
  if (!points.length) return;
  tip.innerHTML = points
    .slice(0, 8)
    .map((p) => `<span style="${thumb(p)}"></span>`)
    .join("");
  const box = element.getBoundingClientRect();
  tip.style.left = `${Math.min(event.clientX - box.left + 16, box.width - 150)}px`;
  tip.style.top = `${event.clientY - box.top + 16}px`;
}
