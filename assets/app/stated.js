// The questions of the report that only its user can answer. A button sends them, and the report is made again.
const box = element.querySelector(".stated-box");
const safe = (text) => String(text).replace(/[&<>"']/g, (c) => `&#${c.charCodeAt(0)};`);
const read = () => (typeof props.value === "string" ? JSON.parse(props.value || "null") : props.value);
let base = null;
async function ask(body) {
  const given = body && {
    method: "POST",
    headers: { "Content-Type": "application/json" },
    body: JSON.stringify(body),
  };
  const answer = await fetch(`${base}/stated.json`, given).catch(() => null);
  if (!answer?.ok) throw new Error(answer ? await refusal(answer) : "The app does not answer. Try again in a moment.");
  return answer.json();
}
function field([key, question, said]) {
  const open = `<label>${safe(question)} <textarea rows="2" maxlength="2000" data-key="${safe(key)}"`;
  return `${open} placeholder="not stated">${safe(said)}</textarea></label>`;
}
async function send() {
  const told = box.querySelector("[role=status]"); // of this form: the answer may come when another is on screen
  const tell = (text, bad) => {
    told.textContent = text;
    told.className = bad ? "tiw-error" : "hint";
  };
  const about = {};
  box.querySelectorAll("[data-key]").forEach((area) => {
    about[area.dataset.key] = area.value;
  });
  tell("Making the report…");
  try {
    await ask({ about, images: box.querySelector("[data-images]").checked });
    tell("The report has been made again and says this.");
  } catch (error) {
    tell(error.message, true);
  }
}
async function draw() {
  base = read()?.base ?? null;
  box.innerHTML = "";
  if (!base) return;
  const now = base;
  const state = await ask().catch(() => null);
  if (now !== base) return;
  if (!state) {
    setTimeout(() => box.firstChild || draw(), 3000);
    return;
  } // the next try may find the app again; never over what is being typed
  const note =
    "The report has a place for each of these. Where nothing is given it says “Not stated”. Nothing leaves this app.";
  box.innerHTML = `<details class="tiw-card tiw-fold"><summary>For the report <span class="hint">what only you know</span></summary>
    <p>${note}</p><div class="stated">${state.fields.map(field).join("")}</div>
    <label class="stated-images"><input type="checkbox" data-images ${state.images ? "checked" : ""}> Show images in the report</label>
    <p><button type="button" class="button" data-send>Make the report again</button> <span class="hint" role="status"></span></p></details>`;
  box.querySelector("[data-send]").onclick = send;
}
watch("value", draw);
draw();
