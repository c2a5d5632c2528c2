// The scales of the large image under one's hand. `props.value` is {frames, sides, why}: a picture after each scale, the
// sides of the token maps, and why nothing can branch from the image; without frames there is nothing to see.
// Branching is a click that says after which scale.
const slider = element.querySelector("input");
const words = element.querySelector("output");
const branch = element.querySelector("button");
const note = element.querySelector("p");
const HINT = "New images keep what is seen now, and draw the rest with other seeds; then try another class.";
const NOTHING_LEFT = "Slide back: after the last scale nothing is left to draw.";
const prefix = element.closest("[id$=scrubber]").id.replace(/scrubber$/, "");
const large = () => document.querySelector(`#${prefix}images .preview .media-button img`);
const last = () => props.value?.frames.length ?? 0;

const show = () => {
  const scale = Number(slider.value);
  const side = props.value.sides[scale - 1];
  const isLast = scale === last();
  words.textContent = `${scale} of ${last()} · ${side}×${side} tokens`;
  slider.setAttribute("aria-valuetext", words.textContent);
  branch.disabled = isLast || props.value.why !== "";
  note.textContent = props.value.why || (isLast ? NOTHING_LEFT : HINT);
  const image = large();
  if (image) image.src = props.value.frames[scale - 1];
};

const load = () => {
  element.querySelector(".scrubber").classList.toggle("loaded", last() > 0);
  if (!last()) return;
  for (const frame of props.value.frames) new Image().src = frame; // so that none flickers
  slider.max = last();
  slider.value = Math.ceil(last() / 2);
  show();
};

slider.addEventListener("input", show);
branch.addEventListener("click", () => trigger("click", {scale: Number(slider.value)}));
watch("value", load);
load();
