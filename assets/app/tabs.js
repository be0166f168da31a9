() => {
  // A reload comes back to the tab that was open; an address that names a run or a lesson says itself where to go.
  const bar = "#steps > .tab-wrapper button[role=tab]";
  addEventListener("pagehide", () =>
    sessionStorage.setItem("tiw-tab", document.querySelector(`${bar}[aria-selected=true]`)?.dataset.tabId ?? ""),
  );
  const kept = sessionStorage.getItem("tiw-tab"),
    named = location.hash.startsWith("#learn") || new URLSearchParams(location.search).has("run");
  if (kept && !named) document.querySelector(`${bar}[data-tab-id="${kept}"]`)?.click();
};
