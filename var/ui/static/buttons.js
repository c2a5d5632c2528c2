// Buttons within a text: a click tells the numbers that a button's data has.
element.addEventListener("click", (event) => {
  const button = event.target.closest("button");
  if (button) trigger("click", Object.fromEntries(Object.entries(button.dataset).map(([name, value]) => [name, Number(value)])));
});
