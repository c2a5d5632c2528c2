// The list of checkpoints is read anew when the pointer comes near, so that no line moves once it is open; or else when it
// opens. While it is read, it says so; `MARK_THE_CHOSEN` ends that.
const SOON = 2000; // milliseconds in which a pointer that came opens the list
const card = element.closest(".card");
let came = -Infinity;

const ask = () => {
  if (!navigator.onLine) return;
  card.querySelector("#checkpoint").setAttribute("aria-busy", "true");
  trigger("click");
};

card.addEventListener("pointerover", ({target, relatedTarget}) => {
  const list = target.closest("#checkpoint");
  if (!list || list.contains(relatedTarget) || list.contains(document.activeElement)) return;
  came = performance.now();
  ask();
});
// What is typed after a click is to take the place of the chosen name, which the list would otherwise be searched for, too.
let entered = false;
card.addEventListener("mouseup", ({target}) => {
  if (entered && target.matches("#checkpoint input")) setTimeout(() => target.select());
  entered = false;
});
card.addEventListener("focusin", ({target}) => {
  if (!target.matches("#checkpoint input")) return;
  entered = true;
  target.select();
  if (performance.now() - came > SOON) ask();
  came = -Infinity;
});
