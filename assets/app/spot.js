// The spot check: a person labels samples without seeing what the classifier called them. One key an image, undo, and
// every label is sent at once, so that a closed page loses nothing.
const safe = (text) => String(text).replace(/[&<>"']/g, (c) => `&#${c.charCodeAt(0)};`);
const box = element.querySelector(".spot-box");
let base = null,
  mine = true,
  attributes = [],
  loaded = false,
  sheet = null,
  found = null,
  at = 0,
  done = [],
  problem = "",
  queue = null;
const queues = {}; // the labels that the app does not have yet, by comparison: one that leaves the screen keeps its own
const read = () => (typeof props.value === "string" ? JSON.parse(props.value || "null") : props.value);
// { state }, or { failed }: a sentence.
async function ask(body, of = base) {
  const given = body
    ? { method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify(body), keepalive: true }
    : {};
  try {
    const answer = await fetch(`${of}/spot.json`, given);
    return answer.ok ? { state: await answer.json(), failed: "" } : { failed: await refusal(answer) };
  } catch {
    return { failed: "The app does not answer." };
  }
}
function take(state) {
  loaded = true;
  sheet = state.sheet;
  found = state.found;
  if (!sheet) return;
  sheet.labels = sheet.labels.map((l, k) => queue.labels[sheet.samples[k]] ?? l);
  at = sheet.labels.findIndex((l) => !l);
  if (at < 0) at = sheet.samples.length;
}
// True if it was done, and the comparison is still on screen.
async function act(body) {
  const asked = base;
  const { state, failed } = await ask(body);
  if (base !== asked) return false;
  if (state) take(state);
  problem = failed;
  draw();
  return !failed;
}
// Until it is known what was labelled, nothing is offered, and it is asked for again.
async function load() {
  const asked = base;
  const { state, failed } = await ask();
  if (base !== asked) return;
  if (state) take(state);
  else setTimeout(() => base === asked && !loaded && load(), 3000);
  if (state || failed !== problem) {
    problem = failed;
    draw();
  }
  if (state) send();
}
// True once the app has every label of the comparison. What fails stays in its queue, and goes with the next key.
function send() {
  const own = queue;
  own.sending ??= deliver(own).finally(() => {
    own.sending = null;
  });
  return own.sending;
}
async function deliver(own) {
  while (Object.keys(own.labels).length) {
    const part = { ...own.labels };
    const { failed } = await ask({ labels: part }, own.base);
    const said = failed && `${failed} Your last labels are sent again with the next key.`;
    if (own === queue && said !== problem) {
      problem = said;
      draw();
    }
    if (failed) return false;
    for (const sample in part) if (own.labels[sample] === part[sample]) delete own.labels[sample];
  }
  return true;
}
function set(k, label) {
  sheet.labels[k] = label;
  queue.labels[sheet.samples[k]] = label;
  send();
}
function give(label) {
  if (at >= sheet.samples.length) {
    send();
    return;
  }
  done.push(at);
  set(at, label);
  do at += 1;
  while (at < sheet.samples.length && sheet.labels[at]);
  draw();
}
function undo() {
  let back = done.pop();
  // One that was labelled before the page was opened.
  if (back === undefined) back = sheet.labels.slice(0, at).reduce((last, l, k) => (l ? k : last), undefined);
  if (back === undefined) return;
  at = back;
  set(at, "");
  draw();
}
const named = (attribute) => attribute.split(" x ").join(" and ");
const percent = (x) => `${(100 * x).toFixed(0)} %`;
const estimate = (r) => `${percent(r.share)} [${percent(r.interval[0])}, ${percent(r.interval[1])}]`;
function results() {
  if (!found) return "";
  const rows = found.shares.map(
    (r) =>
      `<tr><td>${safe(r.attribute)}: ${safe(r.value)}</td><td>${estimate(r)}</td><td>${estimate(r.other)}${r.other.corrected ? "" : " (raw)"}</td><td>${r.disagrees ? "<b>disagrees</b>" : ""}</td></tr>`,
  );
  return `<p class="spot-found"><b>${found.disagrees ? "They disagree." : "No disagreement found."}</b> ${safe(found.sentences.join(" "))}</p>
    <div class="tiw-scroll" tabindex="0" role="region" aria-label="Spot check"><table class="tiw-table" aria-label="Spot check"><thead><tr><th scope="col">Share</th><th scope="col">By your ${found.n} labels</th><th scope="col">Corrected</th><td></td></tr></thead><tbody>${rows.join("")}</tbody></table></div>
    <p class="hint">The report has been made again and carries these shares.</p>`;
}
const HEAD =
  "<h3>Spot check</h3><p>Corrected shares hold if the classifier errs on generated images as it does on labelled ones. Look for yourself: label some of the debiased model’s samples, and see whether your shares agree.</p>";
const OTHERS = `<p class="hint">This comparison came with the app, and nobody has labelled its samples. Compare a model of your own to label some.</p>`;
const links =
  () => `<div class="links"><a class="button" href="${base}/spot.csv" download>Sheet (CSV)</a><a class="button" href="${base}/spot.zip" download>Pictures (zip)</a>
  ${mine ? `<label class="button spot-file" tabindex="0">Fill in from CSV<input type="file" accept=".csv,text/csv" hidden></label>` : ""}</div>`;
function start() {
  const pick = attributes.map((a) => `<option>${safe(a)}</option>`).join("");
  return `<div class="spot-start"><label>Label <select data-attribute>${pick}</select></label><label>Samples <select data-size><option>100</option><option selected>200</option><option>300</option></select></label>
    <button type="button" class="ghost" data-begin>Begin</button></div>`;
}
function asking() {
  const n = sheet.samples.length,
    known = sheet.labels.filter(Boolean).length;
  const keys = sheet.values
    .map(
      (v, k) => `<button type="button" class="ghost" data-key="${k}"><kbd>${sheet.keys[k]}</kbd> ${safe(v)}</button>`,
    )
    .join("");
  const whole =
    at >= n
      ? `<p><b>All ${n} are labelled.</b></p>`
      : `<img class="spot-image" src="${base}/spot/${sheet.samples[at]}.webp" alt="Sample ${at + 1} of ${n}: which ${safe(sheet.attribute)}?">`;
  return `<div class="spot-ask">${whole}<div><p><b>Which ${safe(named(sheet.attribute))}?</b></p><div class="spot-keys">${at < n ? keys : ""}</div>
    <p class="spot-more">${at < n ? `<button type="button" class="ghost" data-unsure><kbd>0</kbd> cannot tell</button>` : ""}<button type="button" class="ghost" data-undo><kbd>Backspace</kbd> undo</button>
    <button type="button" class="ghost" data-finish ${known < 20 ? "disabled" : ""}><kbd>Enter</kbd> use these labels</button></p>
    <progress value="${known}" max="${n}" aria-label="Labelled"></progress><p class="hint" aria-live="polite">${known} of ${n} labelled. Leave whenever you like: it goes on from here.</p></div></div>`;
}
function inside() {
  if (!loaded) return "";
  if (!sheet) return mine ? start() : OTHERS;
  return (mine ? asking() : "") + results() + links();
}
function draw() {
  const value = read();
  if (!value) {
    box.innerHTML = "";
    return;
  }
  const held = box.contains(document.activeElement);
  box.innerHTML = `<section class="tiw-card spot" tabindex="0" aria-label="Spot check; number keys label, Backspace takes back, Enter ends">${HEAD}
    ${problem ? `<div class="tiw-error" role="alert">${safe(problem)}</div>` : ""}${inside()}</section>`;
  const on = (what, then) => {
    const b = box.querySelector(what);
    if (b) b.onclick = then;
  };
  on("[data-begin]", async () => {
    await act({
      draw: {
        size: Number(box.querySelector("[data-size]").value),
        attribute: box.querySelector("[data-attribute]").value,
      },
    });
    box.querySelector("section").focus();
  });
  box.querySelectorAll("[data-key]").forEach((b) => {
    b.onclick = () => give(sheet.values[Number(b.dataset.key)]);
  });
  on("[data-unsure]", () => give(sheet.unsure));
  on("[data-undo]", undo);
  on("[data-finish]", finish);
  const file = box.querySelector("input[type=file]");
  if (file) {
    file.onchange = async () => {
      done = [];
      await act({ csv: await file.files[0].text() });
    };
    file.parentElement.onkeydown = (event) => {
      if (["Enter", " "].includes(event.key)) {
        event.preventDefault();
        event.stopPropagation();
        file.click();
      }
    };
  }
  if (sheet)
    sheet.samples.slice(at + 1, at + 5).forEach((s) => {
      new Image().src = `${base}/spot/${s}.webp`;
    });
  if (held) box.querySelector("section").focus({ preventScroll: true });
}
async function finish() {
  const asked = base;
  if ((await send()) && base === asked && (await act({ finish: true }))) trigger("select", { value: "spot" });
}
box.onkeydown = (event) => {
  if (!sheet || !mine || event.ctrlKey || event.metaKey || event.altKey || event.target.matches("select, input"))
    return;
  const k = sheet.keys.indexOf(event.key);
  const known = sheet.labels.filter(Boolean).length;
  let then = null;
  if (event.key === "Backspace") then = undo;
  else if (event.key === "Enter" && event.target.matches("section") && known >= 20) then = finish;
  else if (["0", "?", " "].includes(event.key) && event.target.matches("section")) then = () => give(sheet.unsure);
  else if (k >= 0 && k < sheet.values.length) then = () => give(sheet.values[k]);
  if (then) {
    event.preventDefault();
    then();
  }
};
function changed() {
  const value = read();
  if (value?.base === base) return;
  base = value?.base;
  mine = !!value?.mine;
  attributes = value?.attributes || [];
  queue = queues[base] ??= { base, labels: {}, sending: null };
  loaded = false;
  sheet = found = null;
  at = 0;
  done = [];
  problem = "";
  draw();
  if (value) load();
}
watch("value", changed);
changed();
