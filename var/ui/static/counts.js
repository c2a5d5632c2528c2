// The list of classes with a number each. `props.value` is {rows: [{label, name, count}], most, most_a_class, typed}.
// Rows that the server sends are drawn anew; what is typed here changes the value alone, so that the focus stays.
// `typed` counts that: of rows that answer an older value the numbers are not taken.
const list = element.querySelector("ul");
const total = element.querySelector(".total");
const rows = () => props.value?.rows ?? [];
let typed = 0;
let held = new Map(); // the numbers that are shown, by label

const tell = () => {
  const sum = rows().reduce((before, row) => before + row.count, 0);
  const over = sum > props.value.most;
  total.textContent = `${sum} ${sum === 1 ? "image" : "images"} in all${over ? `; at most ${props.value.most} are made at a time` : ""}`;
  total.classList.toggle("over", over);
};

const change = (label, count) => {
  typed += 1;
  held.set(label, count);
  props.value = {...props.value, typed, rows: rows().map((row) => (row.label === label ? {...row, count} : row))};
  trigger("change");
  tell();
};

const button = (sign, words, step, field) => {
  const made = document.createElement("button");
  made.type = "button";
  made.textContent = sign;
  made.setAttribute("aria-label", words);
  made.addEventListener("click", () => {
    field.value = Math.min(Math.max(Number(field.value) + step, field.min), field.max);
    field.dispatchEvent(new Event("change"));
  });
  return made;
};

const line = ({label, name, count}) => {
  const item = document.createElement("li");
  const words = document.createElement("span");
  const field = document.createElement("input");
  words.textContent = name;
  words.title = name;
  Object.assign(field, {type: "number", min: 1, max: props.value.most_a_class, step: 1, value: count});
  field.setAttribute("aria-label", `Images of ${name}`);
  field.addEventListener("change", () => {
    const number = Math.round(Number(field.value)) || 1;
    field.value = Math.min(Math.max(number, field.min), field.max);
    change(label, Number(field.value));
  });
  item.append(words, button("−", `One less of ${name}`, -1, field), field, button("+", `One more of ${name}`, 1, field));
  return item;
};

const draw = () => {
  const answered = props.value?.typed ?? null;
  const isOld = answered !== null && answered < typed;
  if (answered !== typed) {
    const kept = rows().map((row) => ({...row, count: (isOld && held.get(row.label)) || row.count}));
    props.value = {...props.value, typed, rows: kept};
  }
  held = new Map(rows().map((row) => [row.label, row.count]));
  list.replaceChildren(...rows().map(line));
  tell();
};

watch("value", draw);
draw();
