// The list of runs: "Open" and "Delete" reach Python as events, deleting only after a question.
element.addEventListener("click", (event) => {
  const button = event.target.closest("button[data-run]");
  if (!button) return;
  const { run, action, name } = button.dataset;
  if (action === "open") trigger("select", { value: run });
  if (action === "delete" && confirm(`Delete ${name}? Its images, models and results are removed from disk.`)) trigger("delete", { value: run });
});
