// The interactive parts of the page: the numbers of a chosen release, and the calculator.

(() => {
  // A slider or the pointer chooses a release in a chart, and its numbers are shown below.
  for (const figure of document.querySelectorAll("figure.by-release")) {
    const slider = figure.querySelector("input[type=range]");
    const output = figure.querySelector("output");
    const drawings = [...figure.querySelectorAll("svg")].map((svg) => [...svg.querySelectorAll(".hints rect")]);
    const hints = drawings[0].map((area) => area.textContent);

    function choose(index) {
      slider.value = index;
      const [release, ...lines] = hints[index].split("\n");
      slider.setAttribute("aria-valuetext", hints[index]);
      output.replaceChildren(Object.assign(document.createElement("strong"), { textContent: release }));
      for (const line of lines) output.append(Object.assign(document.createElement("span"), { textContent: line }));
      for (const areas of drawings) areas.forEach((area, i) => area.classList.toggle("chosen", i === index));
    }

    for (const areas of drawings) {
      areas.forEach((area, i) => {
        area.replaceChildren(); // otherwise the browser shows the same text as a tooltip
        area.addEventListener("pointerenter", () => choose(i));
        area.addEventListener("click", () => choose(i));
      });
    }
    slider.addEventListener("input", () => choose(Number(slider.value)));
    figure.querySelector(".chooser").hidden = false;
    choose(hints.length - 1);
  }
})();

(() => {
  const form = document.getElementById("calculator");
  if (!form) return;
  const model = JSON.parse(document.getElementById("model").textContent);
  const fields = form.elements;
  for (const [name, value] of new URLSearchParams(location.search)) {
    if (fields[name] && value !== "" && (fields[name].tagName === "SELECT" || Number(value) >= 0)) {
      const before = fields[name].value;
      fields[name].value = value;
      if (!fields[name].value) fields[name].value = before;
    }
  }

  function readNumber(name, minimum) {
    return Math.max(minimum, Math.floor(Number(fields[name].value)) || 0);
  }

  function showText(name, text) {
    form.querySelector(`[data-answer=${name}]`).textContent = text;
  }

  function calculate() {
    const [platform, era] = [fields.platform.selectedIndex, fields.era.selectedIndex];
    const byFunctions = fields.unit.value === "functions";
    const size = readNumber("size", 1);
    const exported = Math.min(readNumber("exported", 0), size);
    const fdes = byFunctions ? size + exported * model.eras[era].exportedFdes + 1 : size;
    const modules = readNumber("modules", 1);
    const unloadsOne = fields.unload.value === "one";
    const residents = readNumber("residents", 0);
    const load = unloadsOne
      ? { modules: 1, fdes, residents: residents + (modules - 1) * fdes }
      : { modules, fdes, residents };
    const advice = advise(model, platform, era, load);
    form.querySelector(".exported").hidden = !byFunctions;
    form.querySelector(".answer").dataset.kind = model.kinds[advice.decision];
    showText("decision", advice.decision);
    showText("cost", advice.cost ? formatRange(advice.cost) : "—");
    showText("basis", advice.cost ? `per module unloaded, ${advice.basis}` : advice.basis);
    showText("fdes", `${formatCount(fdes)} FDEs per module, ${formatCount(residents + modules * fdes)} in the table.`);
    showText("gives", advice.gives);
    const notes = form.querySelector("[data-answer=notes]");
    notes.replaceChildren(...advice.notes.map((note) => Object.assign(document.createElement("li"), { textContent: note })));
  }

  form.hidden = false;
  form.addEventListener("input", () => {
    const state = new URLSearchParams(new FormData(form));
    history.replaceState(null, "", `?${state}${location.hash}`);
    calculate();
  });
  form.addEventListener("submit", (event) => event.preventDefault());
  calculate();
})();
