// Bars of what holds at each scale. `props.value` is {patch_nums, rows: {name: {values, own, limits: [least, most, step]}}}.
// Drawing over the bars of a row, or the arrow keys, make it the user's own; "Reset" asks the server for the controls'.
const axis = element.querySelector("ol");
const lines = [...element.querySelectorAll(".row")];
const rows = () => props.value?.rows ?? {};
const sides = () => props.value?.patch_nums ?? [];
const isCount = (name) => name === "top_k"; // of tokens: 0 is all of them, and small numbers matter most

// Where a value stands, 0 to 1, and back.
const share = (name, value, [least, most]) => {
  if (!isCount(name)) return (value - least) / (most - least);
  return value ? Math.log(Math.min(value, most)) / Math.log(most) : 1;
};
const valueAt = (name, place, [least, most, step]) => {
  const part = Math.min(Math.max(place, 0), 1);
  if (isCount(name)) return part === 1 ? 0 : Math.max(1, Math.round(most ** part));
  return Math.min(most, Math.max(least, Number((Math.round((least + part * (most - least)) / step) * step).toFixed(2))));
};
const words = (name, value) => (isCount(name) && !value ? "all" : String(Number(value.toFixed(2))));

const tell = (line, name, index = null) => {
  const {values} = rows()[name];
  const [first, last] = [values[0], values.at(-1)].map((value) => words(name, value));
  const all = values.every((value) => value === values[0]) ? first : `${first} → ${last}`;
  line.querySelector("span").textContent =
    index === null ? all : `${words(name, values[index])} at ${sides()[index]}×${sides()[index]}`;
};

const show = (line) => {
  const name = line.dataset.name;
  const row = rows()[name];
  if (!row) return;
  const bars = line.querySelector(".bars");
  while (bars.children.length > row.values.length) bars.lastChild.remove();
  while (bars.children.length < row.values.length) {
    const bar = document.createElement("i");
    bar.tabIndex = bars.children.length ? -1 : 0;
    bar.setAttribute("role", "slider");
    bars.append(bar);
  }
  row.values.forEach((value, index) => {
    const bar = bars.children[index];
    const side = sides()[index];
    bar.style.setProperty("--share", share(name, value, row.limits).toFixed(4));
    bar.setAttribute("aria-label", `Scale ${index + 1}, ${side} by ${side}`);
    bar.setAttribute("aria-valuemin", row.limits[0]);
    bar.setAttribute("aria-valuemax", row.limits[1]);
    bar.setAttribute("aria-valuenow", isCount(name) && !value ? row.limits[1] : value);
    bar.setAttribute("aria-valuetext", words(name, value));
  });
  line.classList.toggle("own", row.own);
  line.querySelector("button").hidden = !row.own;
  tell(line, name);
};

const draw = () => {
  axis.replaceChildren(...sides().map((side) => Object.assign(document.createElement("li"), {textContent: side})));
  lines.forEach(show);
};

const change = (line, changes) => {
  const name = line.dataset.name;
  const values = [...rows()[name].values];
  for (const [index, value] of changes) values[index] = value;
  props.value = {...props.value, rows: {...rows(), [name]: {...rows()[name], values, own: true}}};
  show(line);
  tell(line, name, changes.at(-1)[0]);
};

for (const line of lines) {
  const name = line.dataset.name;
  const bars = line.querySelector(".bars");
  let before = null; // where the pointer was, while it draws: [index, value]

  const place = (event) => {
    const box = bars.getBoundingClientRect();
    const count = rows()[name].values.length;
    const index = Math.min(count - 1, Math.max(0, Math.floor(((event.clientX - box.left) / box.width) * count)));
    return [index, valueAt(name, (box.bottom - event.clientY) / box.height, rows()[name].limits)];
  };
  // Bars that a quick stroke jumped over follow it, too.
  const stroke = ([index, value]) => {
    const changes = [];
    if (before) for (let i = before[0]; i !== index; i += Math.sign(index - i)) changes.push([i, i === before[0] ? before[1] : value]);
    changes.push([index, value]);
    before = [index, value];
    change(line, changes);
  };
  bars.addEventListener("pointerdown", (event) => {
    if (event.button !== 0) return;
    bars.setPointerCapture(event.pointerId);
    before = null;
    stroke(place(event));
  });
  bars.addEventListener("pointermove", (event) => (before ? stroke(place(event)) : tell(line, name, place(event)[0])));
  bars.addEventListener("pointerleave", () => tell(line, name));
  for (const end of ["pointerup", "pointercancel"]) {
    bars.addEventListener(end, () => {
      if (before) trigger("input");
      before = null;
    });
  }

  const focus = (index) => {
    const bar = bars.children[index];
    if (!bar) return;
    for (const other of bars.children) other.tabIndex = other === bar ? 0 : -1;
    bar.focus();
  };
  bars.addEventListener("focusin", (event) => tell(line, name, [...bars.children].indexOf(event.target)));
  bars.addEventListener("focusout", () => tell(line, name));
  bars.addEventListener("keydown", (event) => {
    const index = [...bars.children].indexOf(event.target);
    const {values, limits} = rows()[name];
    const [least, most, step] = limits;
    const value = values[index];
    const steps = {ArrowUp: 1, ArrowDown: -1, PageUp: 10, PageDown: -10}[event.key];
    let next = null;
    if (event.key === "ArrowLeft" || event.key === "ArrowRight") focus(index + (event.key === "ArrowLeft" ? -1 : 1));
    else if (event.key === "Home") next = valueAt(name, 0, limits);
    else if (event.key === "End") next = valueAt(name, 1, limits);
    else if (steps && isCount(name)) next = valueAt(name, share(name, value, limits) + steps / 40, limits);
    else if (steps) next = valueAt(name, (value + steps * step - least) / (most - least), limits);
    else return;
    event.preventDefault();
    if (next === null) return;
    change(line, [[index, next]]);
    trigger("input");
  });
  line.querySelector("button").addEventListener("click", () => trigger("click", {row: name}));
}

watch("value", draw);
draw();
