// Called before a part is drawn anew. What it returns brings the focus back: to the button with the same data-
// attribute, or, if that is gone or has nothing to do, to what `rest` finds then, as a rule the part itself.
function focus_in(part, rest = () => part) {
  const held = document.activeElement;
  if (!part.contains(held)) return () => {};
  const mark = [...held.attributes].find(({ name }) => name.startsWith("data-"));
  return () => {
    const again = mark && part.querySelector(`[${mark.name}="${mark.value}"]:enabled`);
    const to = again ?? rest();
    if (!again && !to.hasAttribute("tabindex")) to.tabIndex = -1;
    to.focus({ preventScroll: true });
  };
}
