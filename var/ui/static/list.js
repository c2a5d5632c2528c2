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
card.addEventListener("focusin", ({target}) => {
  if (!target.matches("#checkpoint input")) return;
  if (performance.now() - came > SOON) ask();
  came = -Infinity;
});
