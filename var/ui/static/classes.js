// The chosen classes, each as a chip, and a field that finds more by name, part of a name, number or list.
// `props.value` is the chosen labels, `props.choices` all of them as [name, label] in the order of the list.
// Others on the page read and choose through `picker` of the element #classes; "classes" is told when it changes.
const SOME = 60; // options that are made at a time
const root = element.closest("#classes");
const field = element.querySelector("input");
const chips = element.querySelector(".chips");
const list = element.querySelector("ul");
const note = element.querySelector(".note");
const clear = element.querySelector(".clear");
let found = []; // the choices that the list offers
let active = 0; // which of them Enter takes
let moved = false; // whether the arrow keys made it so

const choices = () => props.choices ?? [];
const chosen = () => props.value ?? [];
const nameOf = ([text, label]) => text.replace(` · ${label}`, "");
const textOf = (label) => choices().find((choice) => choice[1] === label)?.[0] ?? `${label}`;
const say = (text) => { note.textContent = text; };

const choose = (labels) => {
  props.value = [...new Set(labels)];
  draw();
  trigger("input");
};
const toggle = (label) => {
  say("");
  choose(chosen().includes(label) ? chosen().filter((other) => other !== label) : [...chosen(), label]);
};

// Whose name or number it is comes first, then names that begin with it, then those that have it somewhere.
const find = (typed) => {
  const word = typed.trim().toLowerCase();
  if (!word) return choices();
  const rank = (choice) => {
    const name = nameOf(choice).toLowerCase();
    if (name === word || `${choice[1]}` === word) return 0;
    return name.startsWith(word) ? 1 : 2;
  };
  return choices().filter(([text]) => text.toLowerCase().includes(word)).sort((a, b) => rank(a) - rank(b));
};
const isIt = (choice, word) => nameOf(choice).toLowerCase() === word.toLowerCase() || `${choice[1]}` === word;

// Several at once: "3, 9, lemon, 20-24".
const chooseListed = (typed) => {
  const labels = [], unknown = [], unclear = [];
  for (const word of typed.split(/[,;\n]/).map((part) => part.trim()).filter(Boolean)) {
    const range = /^(\d+)\s*[-–]\s*(\d+)$/.exec(word);
    const named = range
      ? choices().filter(([, label]) => label >= Number(range[1]) && label <= Number(range[2]))
      : find(word);
    if (!named.length) unknown.push(word);
    else if (range) labels.push(...named.map((choice) => choice[1]).sort((a, b) => a - b));
    else if (named.length === 1 || (isIt(named[0], word) && !isIt(named[1], word))) labels.push(named[0][1]);
    else unclear.push(word);
  }
  if (labels.length) choose([...chosen(), ...labels]);
  field.value = [...unknown, ...unclear].join(", ");
  const several = unclear.length ? `In the names of several classes: ${unclear.join(", ")}.` : "";
  say([unknown.length ? `No class is called ${unknown.join(", ")}.` : "", several].filter(Boolean).join(" "));
};

const take = () => {
  const typed = field.value.trim();
  if (moved && found[active]) toggle(found[active][1]);
  else if (!typed) return;
  else if (found.length) {
    const [text, label] = found[active];
    if (chosen().includes(label)) say(`${text} is chosen already.`);
    else toggle(label);
  } else {
    if (/[,;\n]/.test(typed) || /^\d+\s*[-–]\s*\d+$/.test(typed)) chooseListed(typed);
    else say(`No class is called ${typed}.`);
    return close();
  }
  field.value = "";
  offer();
};

const mark = () => {
  for (const option of list.children) option.classList.toggle("active", option === list.children[active]);
  const option = list.children[active];
  if (option) field.setAttribute("aria-activedescendant", option.id);
  else field.removeAttribute("aria-activedescendant");
  option?.scrollIntoView({block: "nearest"});
};
const line = ([text, label]) => {
  const option = document.createElement("li");
  option.id = `class-${label}`;
  option.textContent = text;
  option.setAttribute("role", "option");
  option.setAttribute("aria-selected", chosen().includes(label));
  option.addEventListener("click", () => {
    toggle(label);
    if (field.value) field.value = "";
    offer();
  });
  return option;
};
const more = () => {
  const made = list.children.length;
  list.append(...found.slice(made, made + SOME).map(line));
};
const offer = () => {
  found = find(field.value);
  active = 0;
  moved = false;
  list.replaceChildren();
  more();
  list.hidden = !found.length;
  field.setAttribute("aria-expanded", !list.hidden);
  if (!list.hidden) list.scrollTop = 0;
  if (field.value) mark();
  else field.removeAttribute("aria-activedescendant");
};
const close = () => {
  list.hidden = true;
  field.setAttribute("aria-expanded", "false");
  field.removeAttribute("aria-activedescendant");
};

const chip = (label) => {
  const made = document.createElement("span");
  const remove = document.createElement("button");
  made.className = "token";
  made.textContent = textOf(label);
  remove.type = "button";
  remove.setAttribute("aria-label", `Remove ${made.textContent}`);
  remove.addEventListener("click", () => {
    toggle(label);
    field.focus();
  });
  made.append(remove);
  return made;
};
const draw = () => {
  for (const old of chips.querySelectorAll(".token")) old.remove();
  field.before(...chosen().map(chip));
  clear.hidden = !chosen().length;
  for (const option of list.children) {
    option.setAttribute("aria-selected", chosen().includes(Number(option.id.slice("class-".length))));
  }
  document.dispatchEvent(new CustomEvent("classes"));
};

field.addEventListener("input", () => {
  say("");
  offer();
});
field.addEventListener("click", offer);
field.addEventListener("keydown", (event) => {
  if (event.key === "Enter") {
    event.preventDefault();
    take();
  } else if (event.key === "Escape") {
    close();
  } else if (event.key === "Backspace" && !field.value && chosen().length) {
    toggle(chosen().at(-1));
  } else if (event.key === "ArrowDown" || event.key === "ArrowUp") {
    event.preventDefault();
    if (list.hidden) return offer();
    const step = event.key === "ArrowDown" ? 1 : -1;
    active = moved || field.value ? Math.min(Math.max(active + step, 0), found.length - 1) : 0;
    moved = true;
    if (active >= list.children.length) more();
    mark();
  }
});
element.addEventListener("focusout", ({relatedTarget}) => element.contains(relatedTarget) || close());
list.addEventListener("pointerdown", (event) => event.preventDefault()); // the field keeps the focus
list.addEventListener("scroll", () => {
  if (list.scrollTop + list.clientHeight > list.scrollHeight - 200) more();
});
chips.addEventListener("click", ({target}) => target === chips && field.focus());
clear.addEventListener("click", () => {
  say("");
  choose([]);
  field.focus();
});

root.picker = {choices, chosen, choose, toggle, find, nameOf};
watch(["value", "choices"], draw);
draw();
