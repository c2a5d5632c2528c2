// An image on which one paints the part to make anew. `props.value` is {image, mask}: two addresses of data, the mask a
// PNG whose opaque points are painted. An image that the server sends begins with nothing painted.
const SIDE = 512; // of the canvas
const MASK_SIDE = 128; // of the mask that the server gets
const MOST_STEPS_BACK = 20;
const PARTS = {
  left: [0, 0, 0.5, 1], right: [0.5, 0, 0.5, 1], top: [0, 0, 1, 0.5], bottom: [0, 0.5, 1, 0.5], middle: [0.25, 0.25, 0.5, 0.5],
};

const picture = element.querySelector("img");
const canvas = element.querySelector("canvas");
const ring = element.querySelector(".ring");
const eraser = element.querySelector('[data-action="erase"]');
const brush = element.querySelector("input[type=range]");
const context = canvas.getContext("2d", {willReadFrequently: true});
const before = []; // states to go back to
let last = null; // where the brush is, while it paints
let shown = "";
let erases = false; // whether the brush takes paint away

const remember = () => {
  before.push(context.getImageData(0, 0, SIDE, SIDE));
  if (before.length > MOST_STEPS_BACK) before.shift();
};

const tell = () => {
  const small = document.createElement("canvas");
  small.width = small.height = MASK_SIDE;
  small.getContext("2d").drawImage(canvas, 0, 0, MASK_SIDE, MASK_SIDE);
  props.value = {...props.value, mask: small.toDataURL("image/png")};
};

const eraseWith = (on) => {
  erases = on;
  eraser.setAttribute("aria-pressed", on);
};

const load = () => {
  const image = props.value?.image ?? "";
  element.querySelector(".painter").classList.toggle("loaded", image !== "");
  for (const control of element.querySelectorAll("button, input")) control.disabled = image === "";
  if (image === shown && props.value?.mask) return;
  shown = image;
  if (image) picture.src = image;
  else picture.removeAttribute("src");
  before.length = 0;
  context.clearRect(0, 0, SIDE, SIDE);
  eraseWith(false);
};

const place = (event) => {
  const box = canvas.getBoundingClientRect();
  return [((event.clientX - box.left) / box.width) * SIDE, ((event.clientY - box.top) / box.height) * SIDE];
};

const width = () => (Number(brush.value) / 100) * SIDE;

const paint = (to) => {
  context.strokeStyle = context.fillStyle = "rgb(46, 160, 110)";
  context.globalCompositeOperation = erases ? "destination-out" : "source-over";
  context.lineCap = context.lineJoin = "round";
  context.lineWidth = width();
  context.beginPath();
  context.moveTo(...(last ?? to));
  context.lineTo(...to);
  context.stroke();
  context.globalCompositeOperation = "source-over";
  last = to;
};

const follow = (event) => {
  const box = canvas.getBoundingClientRect();
  const size = (width() / SIDE) * box.width;
  ring.style.width = ring.style.height = `${size}px`;
  ring.style.transform = `translate(${event.clientX - box.left - size / 2}px, ${event.clientY - box.top - size / 2}px)`;
};

canvas.addEventListener("pointerdown", (event) => {
  if (!shown || event.button !== 0) return;
  canvas.setPointerCapture(event.pointerId);
  remember();
  last = null;
  paint(place(event));
});
canvas.addEventListener("pointermove", (event) => {
  follow(event);
  if (last) for (const part of event.getCoalescedEvents?.() ?? [event]) paint(place(part));
});
for (const name of ["pointerup", "pointercancel"]) {
  canvas.addEventListener(name, () => {
    if (last) tell();
    last = null;
  });
}

const actions = {
  undo: () => before.length && context.putImageData(before.pop(), 0, 0),
  clear: () => context.clearRect(0, 0, SIDE, SIDE),
  invert: () => {
    context.globalCompositeOperation = "xor";
    context.fillStyle = "rgb(46, 160, 110)";
    context.fillRect(0, 0, SIDE, SIDE);
    context.globalCompositeOperation = "source-over";
  },
};

element.addEventListener("click", (event) => {
  const {action, part} = event.target.closest?.("button")?.dataset ?? {};
  if (!action && !part) return;
  if (action === "erase") {
    eraseWith(!erases);
    return;
  }
  if (action !== "undo") remember();
  if (action) actions[action]();
  if (part) {
    context.fillStyle = "rgb(46, 160, 110)";
    context.fillRect(...PARTS[part].map((share) => share * SIDE));
  }
  tell();
});

canvas.width = canvas.height = SIDE;
eraseWith(false);
watch("value", load);
load();
