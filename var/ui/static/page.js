// What the page does as a whole, once it is there.
() => {
  const right = document.getElementById("right");

  // The right side stays in sight while the left one scrolls: its top where it is lower than the window, else its end.
  const fit = () => right.style.setProperty("--right-top", `${Math.min(16, innerHeight - right.offsetHeight - 16)}px`);
  new ResizeObserver(fit).observe(right);
  addEventListener("resize", fit);

  // Names and roles that Gradio leaves out, for screen readers: of empty galleries, and of pictures that are buttons.
  const name = () => {
    for (const empty of right.querySelectorAll(".empty[aria-label]:not([role])")) empty.setAttribute("role", "img");
    for (const button of right.querySelectorAll(".of-film button:has(> .image-frame):not([aria-label])")) {
      button.setAttribute("aria-label", button.closest(".of-film-strip") ? "The scales, large" : "The film, large");
    }
  };
  new MutationObserver(name).observe(right, {childList: true, subtree: true});
  name();

  // A picture that is dropped beside the fields for files: on the editor it is edited, anywhere else its settings restored.
  const isPicture = ({dataTransfer}) => [...(dataTransfer?.items ?? [])].some(({kind, type}) => kind === "file" && type.startsWith("image/"));
  const hasField = ({target}) => target.closest?.('[data-testid="file-upload"], .drop-line, input[type="file"]');
  const toEdit = ({target}) => target.closest?.("#edit-source");
  const tellDrop = (words) => { document.body.dataset.drop = words; };
  addEventListener("dragover", (event) => {
    if (!isPicture(event) || hasField(event)) return tellDrop("");
    event.preventDefault();
    tellDrop(toEdit(event) ? "Drop the picture to edit it" : "Drop a PNG made here to restore its settings");
  });
  addEventListener("dragleave", ({relatedTarget}) => relatedTarget || tellDrop(""));
  addEventListener("drop", (event) => {
    tellDrop("");
    if (!isPicture(event) || hasField(event)) return;
    event.preventDefault();
    const files = new DataTransfer();
    files.items.add(event.dataTransfer.files[0]);
    const field = document.querySelector(`${toEdit(event) ? "#edit-upload" : "#restore"} input[type="file"]`);
    field.files = files.files;
    field.dispatchEvent(new Event("change", {bubbles: true}));
  });

  document.addEventListener("click", ({target}) => {
    const button = target.closest?.("[data-copy]");
    if (!button) return;
    navigator.clipboard?.writeText(button.dataset.copy);
    button.textContent = "Copied";
  });

  // A number that is typed counts once it is within its range. When the field is left, one that is not is brought there,
  // and an empty field gets back what it had.
  const limited = (field) => field.matches?.('input[type="number"][min][max]');
  const within = ({value, min, max}) => value !== "" && Number(value) >= Number(min) && Number(value) <= Number(max);
  const before = new WeakMap();
  addEventListener("focusin", ({target}) => limited(target) && before.set(target, target.value), true);
  addEventListener("input", (event) => {
    if (!event.isTrusted || !limited(event.target)) return;
    if (within(event.target)) before.set(event.target, event.target.value);
    else event.stopImmediatePropagation();
  }, true);
  addEventListener("blur", ({target}) => {
    if (target === window || !limited(target) || within(target)) return;
    const {value, min, max} = target;
    target.value = value === "" ? before.get(target) : Math.min(Math.max(Number(value), Number(min)), Number(max));
    target.dispatchEvent(new Event("input", {bubbles: true}));
  }, true);
}
