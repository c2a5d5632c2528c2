// The wall of classes. `props.value` is {first, sheet: {address, columns, count} or null, coming: name or null}; names and
// choice are the picker's. Of a checkpoint without a sheet pictures are asked for by the name, those in sight alone: they
// are made in the server's spare time as long as somebody looks.
// A click makes the class at once; with Shift, or on the check mark, it is collected for the next run.
const SOME = 96; // tiles that are made at a time
const MOST_WITHOUT_SEARCH = 24;
const tiles = element.querySelector("ul");
const search = element.querySelector("input");
const none = element.querySelector(".none");
const sheet = () => props.value?.sheet ?? null;
const LOOK_AGAIN = 700; // milliseconds
const MOST_ASKED = 96; // pictures at a time
const pictures = new Map(); // of classes, those that came
let source = null; // what the pictures are asked for by
let coming = null; // the same, as long as more may come
let isAsking = false;
let shown = []; // the classes that are there, as [text, label]
let drawn = ""; // what the tiles were made of

const picker = () => document.getElementById("classes")?.picker;
const nameOf = (choice) => picker().nameOf(choice);

// A run that goes on gives way: what is clicked last is what people want to see.
const generate = () => {
  const button = document.getElementById("generate");
  if (!button.disabled) return setTimeout(() => button.click(), 50); // once the picker's value is known
  document.querySelector("#stop:enabled")?.click();
  const watcher = new MutationObserver(() => {
    if (button.disabled) return;
    watcher.disconnect();
    button.click();
  });
  watcher.observe(button, {attributes: true, attributeFilter: ["disabled"]});
};

const put = (button, label) => {
  if (pictures.has(label)) button.querySelector("i").style.backgroundImage = `url("${pictures.get(label)}")`;
};

const tile = (choice) => {
  const [, label] = choice;
  const name = nameOf(choice);
  const item = document.createElement("li");
  const button = document.createElement("button");
  const words = document.createElement("span");
  const check = document.createElement("button");
  button.type = check.type = "button";
  button.className = "tile";
  check.className = "check";
  item.dataset.label = label;
  words.textContent = button.title = name;
  if (sheet() && label < sheet().count) {
    const {columns, count} = sheet();
    const rows = Math.ceil(count / columns);
    const at = (place, all) => (all > 1 ? `${(100 * place) / (all - 1)}%` : "0%");
    const picture = document.createElement("i");
    picture.style.backgroundPosition = `${at(label % columns, columns)} ${at(Math.floor(label / columns), rows)}`;
    picture.style.backgroundSize = `${100 * columns}% ${100 * rows}%`;
    button.append(picture);
  } else if (coming) {
    button.append(document.createElement("i"));
    put(button, label);
  }
  button.append(words);
  button.tabIndex = check.tabIndex = -1;
  check.setAttribute("role", "checkbox");
  check.setAttribute("aria-label", `Collect ${name}`);
  item.append(button, check);
  return item;
};

const mark = () => {
  const chosen = new Set(picker().chosen());
  for (const item of tiles.children) {
    const is = chosen.has(Number(item.dataset.label));
    item.classList.toggle("chosen", is);
    item.lastChild.setAttribute("aria-checked", is);
  }
};

const more = () => {
  const made = tiles.children.length;
  tiles.append(...shown.slice(made, made + SOME).map(tile));
  if (!tiles.querySelector('.tile[tabindex="0"]')) tiles.querySelector(".tile")?.setAttribute("tabindex", "0");
  mark();
};

const draw = () => {
  if (!picker()) return;
  const asked = props.value?.coming ?? null;
  if (asked !== source) {
    source = coming = asked;
    pictures.clear();
  }
  const first = new Set(props.value?.first ?? []);
  const order = (label) => (first.size && !first.has(label) ? 1 : 0);
  const all = picker().choices().filter(([, label]) => label >= 0);
  const word = search.value.trim();
  const found = word ? picker().find(word).filter(([, label]) => label >= 0) : all;
  if (!word) found.sort((a, b) => order(a[1]) - order(b[1]) || a[1] - b[1]);
  const made = JSON.stringify([found, sheet(), source, coming]);
  if (made === drawn) return mark();
  drawn = made;
  shown = found;
  element.querySelector("b").textContent = all.length === 1 ? "1 class" : `${all.length} classes`;
  element.classList.toggle("pictures", sheet() !== null || coming !== null);
  element.style.setProperty("--sheet", sheet() ? `url("${sheet().address}")` : "none");
  element.hidden = !all.length;
  search.hidden = all.length <= MOST_WITHOUT_SEARCH && !word;
  none.textContent = found.length || !word ? "" : `No class is called ${word}.`;
  tiles.replaceChildren();
  more();
};

const isInSight = (item) => {
  const {top, bottom, height} = item.getBoundingClientRect();
  const box = tiles.getBoundingClientRect();
  return height && bottom > Math.max(0, box.top) && top < Math.min(innerHeight, box.bottom);
};

// Fill in the pictures of the classes in sight, as far as they are made, and have the server make others.
const look = async () => {
  setTimeout(look, LOOK_AGAIN);
  if (!coming || document.hidden || isAsking) return;
  const empty = [...tiles.children].filter((item) => !pictures.has(Number(item.dataset.label)) && isInSight(item));
  if (!empty.length) return;
  const asked = source;
  isAsking = true;
  try {
    const labels = empty.slice(0, MOST_ASKED).map((item) => Number(item.dataset.label));
    const headers = {"Content-Type": "application/json"};
    const answer = await fetch("class-pictures", {method: "POST", headers, body: JSON.stringify({wall: source, labels})});
    const told = answer.ok ? await answer.json() : {pictures: {}, more: false};
    if (asked !== source) return;
    for (const [label, picture] of Object.entries(told.pictures)) pictures.set(Number(label), picture);
    const left = labels.some((label) => !pictures.has(label));
    if (left && !told.more) coming = null;
    if (!coming) return draw(); // none will come: names alone
    for (const item of empty) put(item.firstChild, Number(item.dataset.label));
  } catch {
    // the server is gone for a moment
  } finally {
    isAsking = false;
  }
};

const focus = (item) => {
  if (!item) return;
  tiles.querySelector('.tile[tabindex="0"]')?.setAttribute("tabindex", "-1");
  item.firstChild.tabIndex = 0;
  item.firstChild.focus();
};

tiles.addEventListener("click", (event) => {
  const item = event.target.closest("li");
  if (!item) return;
  const label = Number(item.dataset.label);
  if (event.shiftKey || event.ctrlKey || event.metaKey || event.target.closest(".check")) return picker().toggle(label);
  picker().choose([label]);
  generate();
});
tiles.addEventListener("keydown", (event) => {
  const item = event.target.closest("li");
  if (!item || event.ctrlKey || event.metaKey || event.altKey) return;
  const items = [...tiles.children];
  const place = items.indexOf(item);
  const columns = items.filter((other) => other.offsetTop === items[0].offsetTop).length;
  const steps = {ArrowLeft: -1, ArrowRight: 1, ArrowUp: -columns, ArrowDown: columns};
  if (event.key === " ") picker().toggle(Number(item.dataset.label));
  else if (event.key === "Home") focus(items[0]);
  else if (event.key === "End") focus(items.at(-1));
  else if (steps[event.key]) focus(items[place + steps[event.key]]);
  else return;
  event.preventDefault();
});
tiles.addEventListener("keyup", (event) => event.key === " " && event.preventDefault()); // else it is a click
search.addEventListener("input", draw);
search.addEventListener("keydown", (event) => {
  if (event.key === "ArrowDown") focus(tiles.firstElementChild);
  else if (event.key === "Enter" && shown.length) tiles.querySelector(".tile").click();
  else return;
  event.preventDefault();
});
// More tiles come as one goes down, whichever of the page and the wall scrolls.
new IntersectionObserver(([end]) => end.isIntersecting && shown.length > tiles.children.length && more(), {rootMargin: "600px"}).observe(none);
tiles.addEventListener("scroll", () => tiles.scrollTop + tiles.clientHeight > tiles.scrollHeight - 300 && more());

document.addEventListener("classes", draw);
watch("value", draw);
draw();
look();
