// The list of runs: "Open" and "Delete" reach Python as events, deleting only after a question; a name or note when its
// field is left.
element.addEventListener("click", (event) => {
  const button = event.target.closest("button[data-run]");
  if (!button) return;
  const { run, action, name } = button.dataset;
  if (action === "open") trigger("select", { value: run });
  if (action === "delete" && confirm(`Delete ${name}? Its images, models and results are removed from disk.`))
    trigger("delete", { value: run });
});
element.addEventListener("change", (event) => {
  const run = event.target.dataset?.run;
  if (!run) return;
  const [name, note] = ["name", "note"].map(
    (field) => element.querySelector(`[data-run="${run}"][data-about=${field}]`).value,
  );
  trigger("submit", { value: { run, name, note } });
});
