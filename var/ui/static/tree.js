// The tree of branches: a click on an image tells which it is.
element.addEventListener("click", (event) => {
  const button = event.target.closest("[data-run]");
  if (button) trigger("click", {run: Number(button.dataset.run), image: Number(button.dataset.image)});
});
