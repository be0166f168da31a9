// The settings of a lesson in the address, behind the #, so that a lecturer can share them:
// #learn/ratio?preset=chasm&n=25. What stands behind the ? (a run) is left alone.
function read_address(part) {
  const [path, query] = location.hash.slice(1).split("?");
  return path === `learn/${part}` ? Object.fromEntries(new URLSearchParams(query)) : null;
}

function write_address(part, fields) {
  const query = new URLSearchParams(fields).toString();
  history.replaceState(
    history.state,
    "",
    `${location.pathname}${location.search}#learn/${part}${query ? `?${query}` : ""}`,
  );
}

// A number from the address or a slider, held within its range; `otherwise` when there is none.
function bounded(text, low, high, otherwise) {
  const value = Number.parseFloat(text);
  return Number.isFinite(value) ? Math.min(high, Math.max(low, value)) : otherwise;
}

async function copy_link(button) {
  button.dataset.called ??= button.textContent; // at a second press it says “Copied”
  try {
    await navigator.clipboard.writeText(location.href);
    button.textContent = "Copied";
  } catch {
    button.textContent = "Copy it from the address bar";
  }
  setTimeout(() => {
    button.textContent = button.dataset.called;
  }, 2000);
}
