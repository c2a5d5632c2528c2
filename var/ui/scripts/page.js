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
}
