"use strict";
// Walking through the steps of a moment: by buttons, by arrow keys, by pointing at a step.
for (const moment of document.querySelectorAll(".moment")) {
  const list = moment.querySelector(".steps");
  const steps = [...list.querySelectorAll("li[data-from]")];
  const cursor = moment.querySelector(".cursor");
  const lanes = moment.querySelector(".lanes");
  const where = document.createElement("output");
  let at = -1;

  function show(next) {
    if (next < 0 || next >= steps.length) return;
    if (at >= 0) steps[at].removeAttribute("aria-current");
    at = next;
    const step = steps[at];
    step.setAttribute("aria-current", "step");
    const from = Number(step.dataset.from);
    const width = Math.max(Number(step.dataset.to) - from, 2);
    cursor.setAttribute("x", from - (width > 2 ? 0 : 1));
    cursor.setAttribute("width", width);
    cursor.classList.add("on");
    list.scrollTop = step.offsetTop - list.offsetTop - list.clientHeight / 3;
    const scale = lanes.scrollWidth / cursor.ownerSVGElement.viewBox.baseVal.width;
    lanes.scrollLeft = from * scale - lanes.clientWidth / 2;
    where.textContent = `step ${at + 1} of ${steps.length}`;
  }

  const walk = document.createElement("div");
  walk.className = "walk";
  for (const [text, by] of [["Back", -1], ["Next", 1]]) {
    const button = document.createElement("button");
    button.type = "button";
    button.textContent = text;
    button.addEventListener("click", () => show(at < 0 ? 0 : at + by));
    walk.append(button);
  }
  walk.append(where);
  where.textContent = `${steps.length} steps`;
  list.before(walk);
  list.addEventListener("keydown", (event) => {
    const by = { ArrowDown: 1, ArrowRight: 1, ArrowUp: -1, ArrowLeft: -1 }[event.key];
    if (by === undefined) return;
    event.preventDefault();
    show(at < 0 ? 0 : at + by);
  });
  steps.forEach((step, index) => step.addEventListener("click", () => show(index)));
}
