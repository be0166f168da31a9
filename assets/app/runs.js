// The list of runs: "Open" and "Delete" reach Python as events, deleting only after a question; a name or note when its
// field is left. Gradio writes a new list into the elements of the old one, so a field may come to stand in another
// run's row: what is typed and where the focus is are therefore kept by run.
const typed = new Map();
let held = null;
const place = ({ run, about, action }) =>
  `[data-run="${run}"]${about ? `[data-about="${about}"]` : `[data-action="${action}"]`}`;
const text = (field) => typed.get(place(field.dataset)) ?? field.getAttribute("value");
function keep({ dataset: { run, about } }) {
  const fields = ["name", "note"].map((one) => element.querySelector(place({ run, about: one })));
  if (!typed.has(place({ run, about })) || fields.includes(null)) return;
  const [name, note] = fields.map(text);
  for (const field of fields) field.setAttribute("value", text(field)); // as the next list will have it
  typed.delete(place({ run, about }));
  trigger("submit", { value: { run, name, note } });
}
function listed() {
  const fields = [...element.querySelectorAll("[data-about]")];
  for (const field of fields) field.value = text(field);
  if (held && element.contains(document.activeElement)) {
    const again = element.querySelector(held);
    if (!again) document.activeElement.blur();
    else if (again !== document.activeElement) {
      again.focus({ preventScroll: true });
      again.setSelectionRange?.(again.value.length, again.value.length);
    }
  }
  fields.filter((field) => field !== document.activeElement).forEach(keep); // whose own focus went with its old place
}
element.addEventListener("click", (event) => {
  const button = event.target.closest("button[data-run]");
  if (!button) return;
  const { run, action, name } = button.dataset;
  if (action === "open") trigger("select", { value: run });
  if (action === "delete" && confirm(`Delete ${name}? Its images, models and results are removed from disk.`))
    trigger("delete", { value: run });
});
element.addEventListener("focusin", ({ target }) => {
  held = target.dataset.run ? place(target.dataset) : null;
});
element.addEventListener("input", ({ target }) => typed.set(place(target.dataset), target.value));
element.addEventListener("change", ({ target }) => keep(target));
element.addEventListener("focusout", ({ target }) => keep(target)); // one that was moved to hears no "change"
watch("value", listed);
