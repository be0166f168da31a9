() => {
  // An address that names a lesson opens its tab, now and when it changes; another tab takes it away again.
  const lesson = () => location.hash.startsWith("#learn");
  const show = () => {
    if (lesson()) document.querySelector("#learn-button")?.click();
  };
  document.addEventListener("click", (event) => {
    const tab = event.target.closest?.("#steps > .tab-wrapper button[role=tab]");
    if (tab && tab.id !== "learn-button" && lesson())
      history.replaceState(history.state, "", location.pathname + location.search);
  });
  addEventListener("hashchange", show);
  show();
}
