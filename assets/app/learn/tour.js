// The tour: numbered steps, each with a button that opens its tab, and a bar at the foot of the page that leads from
// one to the next.
const STEPS = [
  {
    tab: "Data",
    title: "Look at both sets",
    text: "8,000 portraits, most of them with lighter skin and long hair, and 400 that somebody chose. Ask yourself what differs before anything is measured.",
    at: "#data-view",
  },
  {
    tab: "Audit",
    title: "Audit",
    text: "Press “Audit”. In about a minute the verdict says whether the sets differ, and how far to believe it. Then move the noise level and watch the histogram.",
    at: "#audit-go",
  },
  {
    tab: "Debias",
    title: "Preview without training",
    text: "Press “Preview now”. The audit's ratio steers the model as it is, at the strength that was matched without any label.",
    at: "#preview-go",
  },
  {
    tab: "Debias",
    title: "Debias",
    text: "Press “Debias”. The model is fine-tuned with TIW-DSM. The same seeds are painted again and again while it learns. You may close the page in the meantime.",
    at: "#debias-go",
  },
  {
    tab: "Compare",
    title: "Compare",
    text: "Press “Compare”. Shares are counted by a classifier, with n and interval, and quality is measured beside them.",
    at: "#compare-go",
  },
  {
    tab: "Compare",
    title: "Take the report with you",
    text: "The report below the numbers holds all of it: what was compared, how it was measured, and what it cannot say.",
    at: '#compare-numbers a[href$="report.html"]',
  },
];
let bar = null;
function open_tab(name) {
  const button = [...document.querySelectorAll("#steps button[role=tab]")].find((b) => b.textContent.trim() === name);
  if (button) button.click();
}
function go(step) {
  end();
  const { tab, title, text, at } = STEPS[step],
    last = step + 1 === STEPS.length;
  open_tab(tab);
  bar = document.createElement("div");
  bar.className = "tour-bar";
  bar.setAttribute("role", "region");
  bar.setAttribute("aria-label", "This step of the tour");
  bar.innerHTML = `<div><b>${step + 1} of ${STEPS.length} · ${title}</b><p role="status">${text}</p></div><div class="tour-buttons">${step ? '<button type="button" class="ghost" data-back>Back</button>' : ""}<button type="button" class="ghost strong" data-next>${last ? "Finish" : "Next"}</button><button type="button" class="link" data-end>End the tour</button></div>`;
  (document.querySelector(".gradio-container") || document.body).append(bar);
  const press = (name, act) => {
    const b = bar.querySelector(`[data-${name}]`);
    if (b) b.onclick = act;
  };
  press("back", () => go(step - 1));
  press("next", () => (last ? (open_tab("Learn"), leave()) : go(step + 1)));
  press("end", leave);
  bar.querySelector("[data-next]").focus({ preventScroll: true });
  setTimeout(() => {
    const part = document.querySelector(at) || document.querySelector(at.split(" ")[0]); // before there is a report
    if (part) {
      part.scrollIntoView({ block: part.offsetHeight > innerHeight / 2 ? "start" : "center", behavior: "smooth" });
      part.classList.add("tour-here");
      setTimeout(() => part.classList.remove("tour-here"), 2500);
    }
  }, 250);
}
function end() {
  if (bar) bar.remove();
  bar = null;
}
// The keyboard goes on where the tour began or, on another tab, at this tab's name.
function leave() {
  end();
  setTimeout(() => {
    const start = element.querySelector("[data-start]");
    (start.offsetParent ? start : document.querySelector("#steps button[role=tab][aria-selected=true]"))?.focus();
  });
}
element.querySelector("[data-steps]").innerHTML = STEPS.map(
  (s, i) =>
    `<li><button type="button" class="link" data-step="${i}">${s.title}</button> <span>${s.tab === s.title ? "" : s.tab}</span></li>`,
).join("");
element.querySelectorAll("[data-step]").forEach((b) => {
  b.onclick = () => go(Number(b.dataset.step));
});
element.querySelector("[data-start]").onclick = () => go(0);
