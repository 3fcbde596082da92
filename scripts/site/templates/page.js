// What the page does beyond its text: numbers of a release under the pointer, and the calculator.

(() => {
  // The chart: a slider and the pointer choose a release, whose numbers stand below.
  for (const figure of document.querySelectorAll("figure.by-release")) {
    const slider = figure.querySelector("input[type=range]");
    const said = figure.querySelector("output");
    const drawings = [...figure.querySelectorAll("svg")].map((svg) => [...svg.querySelectorAll(".hints rect")]);
    const hints = drawings[0].map((area) => area.textContent);

    function choose(index) {
      slider.value = index;
      const [release, ...lines] = hints[index].split("\n");
      slider.setAttribute("aria-valuetext", hints[index]);
      said.replaceChildren(Object.assign(document.createElement("strong"), { textContent: release }));
      for (const line of lines) said.append(Object.assign(document.createElement("span"), { textContent: line }));
      for (const areas of drawings) areas.forEach((area, i) => area.classList.toggle("chosen", i === index));
    }

    for (const areas of drawings) {
      areas.forEach((area, i) => {
        area.replaceChildren(); // the browser's own tooltip would say the same again
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
  const asked = new URLSearchParams(location.search);
  for (const [name, value] of asked) {
    if (fields[name] && value !== "" && (fields[name].tagName === "SELECT" || Number(value) >= 0)) {
      const before = fields[name].value;
      fields[name].value = value;
      if (!fields[name].value) fields[name].value = before;
    }
  }

  function number(name, least) {
    return Math.max(least, Math.floor(Number(fields[name].value)) || 0);
  }

  function put(name, said) {
    form.querySelector(`[data-answer=${name}]`).textContent = said;
  }

  function calculate() {
    const [platform, era] = [fields.platform.selectedIndex, fields.era.selectedIndex];
    const byFunctions = fields.unit.value === "functions";
    const exported = Math.min(number("exported", 0), number("size", 1));
    const fdes = byFunctions ? number("size", 1) + exported * model.eras[era].exportedFdes + 1 : number("size", 1);
    const modules = number("modules", 1);
    const alone = fields.unload.value === "one";
    const others = number("residents", 0);
    const load = alone
      ? { modules: 1, fdes, residents: others + (modules - 1) * fdes }
      : { modules, fdes, residents: others };
    const advice = advise(model, platform, era, load);
    form.querySelector(".exported").hidden = !byFunctions;
    form.querySelector(".answer").dataset.decision = advice.decision;
    put("decision", advice.decision);
    put("cost", advice.cost ? formatRange(advice.cost) : "—");
    put("basis", advice.cost ? `per module unloaded, ${advice.basis}` : advice.basis);
    put("fdes", `${formatCount(fdes)} FDEs per module, ${formatCount(others + modules * fdes)} in the table.`);
    put("gives", advice.gives);
    const notes = form.querySelector("[data-answer=notes]");
    notes.replaceChildren(...advice.notes.map((said) => Object.assign(document.createElement("li"), { textContent: said })));
    mark(platform, era, load);
  }

  // The plane shows all modules unloaded, without others: only then is there a point to mark.
  function mark(platform, era, load) {
    for (const svg of document.querySelectorAll("svg.plane")) {
      const dot = svg.querySelector(".yours");
      const here = String(model.eras[era].sections) === svg.dataset.sections;
      const inside = load.modules <= 1e5 && load.fdes <= 1e5 && load.residents === 0;
      const shown = here && inside && model.platforms[platform].scans;
      if (here) put("point", shown ? "The blue point below is yours." : "");
      dot.setAttribute("visibility", shown ? "visible" : "hidden");
      const [left, right, bottom, top] = svg.dataset.frame.split(" ").map(Number);
      dot.setAttribute("cx", left + (Math.log10(load.modules) / 5) * (right - left));
      dot.setAttribute("cy", bottom + (Math.log10(load.fdes) / 5) * (top - bottom));
    }
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
