// The interactive parts of the page. calculator.js, inputs.js and wasm.js do the computing.

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
    choose(Number(slider.value));
  }
})();

(() => {
  const calculator = document.getElementById("calculator");
  if (!calculator) return;
  const [model, rules] = ["model", "rules"].map((id) => JSON.parse(document.getElementById(id).textContent));
  const choice = document.getElementById("choice");
  const forms = [choice, calculator];
  const fields = Object.fromEntries(STATE.map((name) => [name, choice.elements[name] ?? calculator.elements[name]]));
  const initial = readFields();
  let contents = null; // of the dropped file, until f is typed

  function readFields() {
    return Object.fromEntries(Object.entries(fields).map(([name, field]) => [name, field.value.trim()]));
  }

  function showText(name, text) {
    for (const place of document.querySelectorAll(`[data-show=${name}]`)) place.textContent = text;
  }

  function showList(name, sentences) {
    const items = sentences.map((text) => Object.assign(document.createElement("li"), { textContent: text }));
    document.querySelector(`[data-show=${name}]`).replaceChildren(...items);
  }

  // The value of a field, or undefined after its problem is shown next to it.
  function readField(name, parse) {
    const problem = document.getElementById(`${name}-problem`);
    const field = fields[name];
    try {
      const value = parse(field.value);
      problem.textContent = "";
      field.removeAttribute("aria-invalid");
      return value;
    } catch (error) {
      if (!(error instanceof InputError)) throw error;
      problem.textContent = error.message;
      field.setAttribute("aria-invalid", "true");
      return undefined;
    }
  }

  function chosen() {
    const platform = fields.platform.selectedIndex;
    const isMac = model.platforms[platform].isMac;
    const macos = isMac ? fields.macos.selectedIndex : 0;
    return { platform, isMac, macos, era: findEra(model, fields.release.value), release: Number(fields.release.value) };
  }

  // Users of the released library lose nothing in releases whose backtraces never reach wasm frames.
  function adviseLibraryUsers(verdict, gives, { platform, isMac, era, release }) {
    const benefit = model.library.findLast((entry) => entry.first <= release);
    const isFixed = model.eras[era].platforms[platform].decision !== null;
    if (["rust", "ruby", "cli"].includes(fields.language.value) || !benefit || isFixed) return [verdict, gives];
    const loss = isMac ? benefit.mac : benefit.linux;
    if (!benefit.is_nothing || !model.platforms[platform].scans) return [verdict, loss];
    const answer = model.words[model.decisions.TURN_OFF];
    return [{ ...verdict, kind: "off", answer, conditions: ["With any load: nothing is lost in this release."] }, loss];
  }

  function showVerdict({ platform, isMac, macos, era, release }) {
    const { verdicts, gives: rustGives } = model.eras[era].platforms[platform];
    const own = verdicts[Math.min(macos, verdicts.length - 1)];
    const [verdict, gives] = adviseLibraryUsers(own, rustGives, { platform, isMac, era, release });
    document.getElementById("macos").hidden = !isMac;
    const box = document.querySelector(".verdict");
    box.hidden = false;
    box.dataset.kind = verdict.kind;
    showText("verdict", verdict.answer);
    showList("conditions", verdict.conditions);
    const rows = verdict.examples.map(([load, cost, decision]) => {
      const row = document.createElement("tr");
      row.append(Object.assign(document.createElement("th"), { textContent: load, scope: "row" }));
      row.append(Object.assign(document.createElement("td"), { textContent: cost, className: "number" }));
      row.append(Object.assign(document.createElement("td"), { textContent: decision }));
      return row;
    });
    const table = document.getElementById("examples");
    table.hidden = !rows.length;
    table.querySelector("tbody").replaceChildren(...rows);
    showText("gives", gives);
  }

  function showCode({ platform, isMac, release }) {
    const isFixed = model.eras.at(-1).platforms[platform].decision === "FIXED";
    const code = document.getElementById("code");
    code.hidden = isFixed;
    let isFound = false;
    for (const setting of code.querySelectorAll("[data-language]")) {
      const { language, first, last } = setting.dataset;
      setting.hidden = language !== fields.language.value || release < Number(first) || release > (Number(last) || Infinity);
      isFound ||= !setting.hidden;
      for (const line of setting.querySelectorAll(".on-mac")) line.hidden = !isMac;
      for (const releases of setting.querySelectorAll("dt")) releases.hidden = true;
    }
    code.querySelector(".no-setting").hidden = isFound;
  }

  function fillFdes(release) {
    if (!contents) return;
    fields.fdes.value = formatFdes(predictFdes(rules, contents, release));
    showText("parts", `= ${describeContents(rules, contents, release)}`);
  }

  function showAnswer({ platform, macos, era }) {
    const fdes = readField("fdes", parseFdes);
    const modules = readField("modules", parseCount);
    const residents = readField("residents", (text) => parseCount(text, 0));
    const answer = calculator.querySelector(".answer");
    const load = { fdes, modules, unload: fields.unload.value, residents };
    showText("where", `${model.platforms[platform].name}, Wasmtime ${fields.release.value}`);
    if ([fdes, modules, residents].includes(undefined)) {
      answer.dataset.kind = "unknown";
      showText("decision", "No answer: correct the field that is marked.");
      for (const name of ["cost", "basis", "table"]) showText(name, "");
      showList("notes", []);
      return;
    }
    const advice = adviseSpan(model, platform, era, load, model.macos[macos]);
    const least = advice.isLeast ? "at least " : "";
    answer.dataset.kind = model.kinds[advice.decision];
    showText("decision", model.words[advice.decision]);
    showText("cost", advice.cost ? `${least}${advice.isLeast ? formatMilliseconds(advice.cost[0]) : formatRange(advice.cost)}` : "");
    showText("basis", advice.cost ? `per module unloaded, ${advice.basis}` : `Cost: ${advice.basis}`);
    const entries = formatCount(residents + modules * fdes.low);
    showText("table", `${formatFdes(fdes)} FDEs per module; ${fdes.low === fdes.high ? "" : "at least "}${entries} are loaded in all.`);
    showList("notes", advice.notes);
  }

  function show() {
    const now = chosen();
    fillFdes(now.release);
    showVerdict(now);
    showCode(now);
    showAnswer(now);
  }

  async function readFile(file) {
    if (!file) return;
    const problem = document.getElementById("file-problem");
    problem.textContent = "";
    showText("parts", `Reading ${file.name} …`);
    try {
      contents = readWasm(rules, new Uint8Array(await file.arrayBuffer()), file.name);
      showText("file", file.name);
    } catch (error) {
      if (!(error instanceof WasmError) && !(error instanceof DOMException)) throw error;
      refuseFile(error instanceof WasmError ? error.message : `${file.name} cannot be read: ${error.message}`);
      return;
    }
    if (predictFdes(rules, contents, rules.newestChecked).high === 0) {
      refuseFile(`${file.name} has no functions of its own, so unwind info costs nothing.`);
      return;
    }
    show();
    saveAddress();
  }

  // The answer to a former file must not stand beside the problem of this one.
  function refuseFile(message) {
    contents = null;
    for (const name of ["file", "parts"]) showText(name, "");
    fields.fdes.value = "";
    show();
    document.getElementById("file-problem").textContent = message;
  }

  function saveAddress() {
    history.replaceState(null, "", `${writeAddress(readFields(), initial)}${location.hash}`);
  }

  async function copyText(button, text) {
    const before = button.textContent;
    try {
      await navigator.clipboard.writeText(text);
      button.textContent = "Copied";
    } catch {
      button.textContent = "Copying is not allowed here";
    }
    setTimeout(() => { button.textContent = before; }, 2000);
  }

  const { state, problems } = readAddress(model, location.search);
  for (const [name, value] of Object.entries(state)) {
    const before = fields[name].value;
    fields[name].value = value;
    if (!fields[name].value) {
      fields[name].value = before;
      problems.push(`The link names “${value}”, which is not known here.`);
    }
  }
  document.getElementById("link-problem").textContent = problems.join(" ");
  for (const form of forms) {
    form.hidden = false;
    form.addEventListener("submit", (event) => event.preventDefault());
    form.addEventListener("input", (event) => {
      if (event.target.type === "file") return;
      if (event.target === fields.fdes) {
        contents = null;
        for (const name of ["file", "parts"]) showText(name, "");
      }
      show();
      saveAddress();
    });
  }
  const drop = calculator.querySelector(".drop");
  const chooser = drop.querySelector("input");
  chooser.addEventListener("change", () => readFile(chooser.files[0]));
  for (const name of ["dragenter", "dragover", "dragleave", "drop"]) {
    drop.addEventListener(name, (event) => {
      event.preventDefault();
      drop.classList.toggle("over", name === "dragenter" || name === "dragover");
      if (name === "drop") readFile(event.dataTransfer.files[0]);
    });
  }
  for (const button of document.querySelectorAll("button.copy-code")) {
    button.hidden = false;
    button.addEventListener("click", () => copyText(button, button.parentElement.querySelector("code").innerText.trim()));
  }
  document.querySelector(".copy-link").addEventListener("click", (event) => {
    saveAddress();
    copyText(event.target, location.href);
  });
  document.querySelectorAll(".no-script").forEach((part) => { part.hidden = true; });
  show();
})();
