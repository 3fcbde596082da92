// The comparison of two releases: by shape, exact counts before gaps, the largest change first.
// Memory comes last, and what unwind info gives is a sentence.

const CHANGED = 0.01; // relative difference from which on a count is a change
const KINDS = ["count", "gap", "memory"];

// The rows with a value in both releases, in the order of the table.
function compareReleases(data, from, to, { machine = "", unwinder = "" } = {}) {
  const [before, after] = [data.releases.indexOf(from), data.releases.indexOf(to)];
  const rows = [];
  for (const series of data.series) {
    if ((machine && series.machine !== machine) || (unwinder && series.unwinder !== unwinder)) continue;
    const [old, now] = [series.values[before], series.values[after]];
    if (old == null || now == null) continue;
    const [oldValue, newValue] = series.kind === "gap" ? [old[0], now[0]] : [old, now];
    const row = { ...series, old: oldValue, now: newValue };
    row.level = isCertain(data, series.kind, old, now) ? findLevel(row) : "same";
    rows.push(row);
  }
  const shapes = [...new Set(data.series.map((series) => series.shape))];
  return rows.sort((left, right) =>
    shapes.indexOf(left.shape) - shapes.indexOf(right.shape) ||
    KINDS.indexOf(left.kind) - KINDS.indexOf(right.kind) || factorOf(right) - factorOf(left));
}

// Whether two values differ by more than noise, if they differ at all.
function isCertain(data, kind, old, now) {
  if (kind === "count") return true;
  if (kind === "gap") return now[1] === null || now[1] > old[2] || now[2] < old[1]; // ranges that do not overlap
  const [relative, absolute] = data.memoryThresholds;
  return Math.abs(now - old) > absolute && Math.abs(now - old) > relative * old;
}

function factorOf({ old, now }) {
  if (old === now) return 1;
  return old && now ? Math.max(old / now, now / old) : Infinity;
}

function findLevel(row) {
  if (row.old === row.now) return "same";
  return Math.abs(row.now / row.old - 1) >= CHANGED ? "changed" : "little";
}

function formatNumber(value) {
  if (value >= 99.95) return value.toLocaleString("en-US", { maximumFractionDigits: 0 });
  return String(Number(value.toPrecision(3)));
}

function formatValue(row, value) {
  if (row.kind === "memory") return `${(value / 1e6).toFixed(2)} MB`;
  if (row.kind === "gap") return `${formatNumber(value)}×`;
  return value.toLocaleString("en-US", { maximumFractionDigits: value < 1000 ? 1 : 0 });
}

// The change of a row, such as `17 times cheaper`, `+0.23 %` or `no change`.
function describeChange(row) {
  if (row.level === "same") return row.kind === "count" ? "no change" : "within the noise";
  if (row.kind === "memory") {
    return `${formatValue(row, Math.abs(row.now - row.old))} ${row.now > row.old ? "more" : "less"}`;
  }
  if (!row.now) return "free";
  if (!row.old) return "no longer free";
  const isDearer = row.now > row.old;
  if (row.level === "little") return `${isDearer ? "+" : "−"}${formatNumber(100 * Math.abs(row.now / row.old - 1))} %`;
  return `${formatNumber(factorOf(row))} times ${isDearer ? "more expensive" : "cheaper"}`;
}

function summarize(rows) {
  const count = (kind, level = "") =>
    rows.filter((row) => row.kind === kind && (!level || row.level === level)).length;
  const [counts, gaps, memory] = KINDS.map((kind) => count(kind));
  const parts = [];
  if (counts) {
    const little = count("count", "little");
    parts.push(`${count("count", "changed")} of ${counts} counts changed by 1 % or more` +
      (little ? `, and ${little} by less` : ", and no other changed"));
  }
  if (gaps) parts.push(`${count("gap", "changed")} of ${gaps} gaps changed by 1 % or more and beyond the noise`);
  if (memory) {
    const changed = count("memory", "changed");
    parts.push(changed ? `${changed} of ${memory} values of the memory left changed` : "the memory left did not change");
  }
  return parts.length ? `${parts.join("; ")}.` : "No series has values of both releases.";
}

// The changes after one release, up to and including the other.
function findSteps(data, from, to) {
  const [before, after] = [data.releases.indexOf(from), data.releases.indexOf(to)];
  return data.steps.filter((step) => {
    const at = data.releases.indexOf(step.release);
    return at > before && at <= after;
  });
}

// What unwind info gives in the two releases, as a sentence, if it is recorded.
function describeGives(data, from, to) {
  const [before, after] = [data.gives[from], data.gives[to]];
  if (!before || !after || [before, after].includes("unknown")) return "";
  const what = "to a backtrace from a host function (C API, on Linux)";
  if (before === after) return `Unwind info gives the same in both ${what}: ${after}.`;
  return `Unwind info gives ${after} in ${to} ${what}, and gave ${before} in ${from}.`;
}

// The machines and unwinders that lack a value of one of the releases.
function findMissing(data, from, to) {
  const missing = new Map();
  for (const series of data.series) {
    const name = `${series.unwinder} on ${series.machine}`;
    for (const release of [from, to]) {
      const hasValue = series.values[data.releases.indexOf(release)] != null;
      if (!missing.has(name)) missing.set(name, new Map());
      const before = missing.get(name).get(release) ?? true;
      missing.get(name).set(release, before && !hasValue);
    }
  }
  const sentences = [];
  for (const [name, lacks] of missing) {
    const releases = [...lacks].filter(([, isMissing]) => isMissing).map(([release]) => release);
    if (releases.length) sentences.push(`${name}: no values of ${releases.join(" and ")}`);
  }
  return sentences;
}

// The choice in a link, older release first, and sentences on what is not known.
function readChoice(data, query) {
  const given = new URLSearchParams(query);
  const { measured } = data;
  const choice = { from: measured.at(-2) ?? measured[0], to: measured.at(-1), machine: "", unwinder: "" };
  const problems = [];
  const known = {
    from: measured, to: measured,
    machine: data.series.map((series) => series.machine), unwinder: data.series.map((series) => series.unwinder),
  };
  for (const name of Object.keys(choice)) {
    const value = given.get(name);
    if (!value) continue;
    if (known[name].includes(value)) choice[name] = value;
    else if (measured === known[name]) problems.push(`The link names ${value}, which is not a measured release; ${choice[name]} is shown instead.`);
    else problems.push(`The link names ${value}, which has no results; all are shown.`);
  }
  return { choice: orderChoice(data, choice), problems };
}

function orderChoice(data, choice) {
  const isOrdered = data.releases.indexOf(choice.from) <= data.releases.indexOf(choice.to);
  return isOrdered ? choice : { ...choice, from: choice.to, to: choice.from };
}

(() => {
  if (typeof document === "undefined") return;
  const form = document.getElementById("compare");
  const data = JSON.parse(document.getElementById("values").textContent);
  const names = ["from", "to", "machine", "unwinder"];
  const { measured } = data;
  for (const name of ["from", "to"]) {
    for (const release of [...measured].reverse()) form.elements[name].add(new Option(release));
  }
  for (const name of ["machine", "unwinder"]) {
    for (const value of new Set(data.series.map((series) => series[name]))) form.elements[name].add(new Option(value));
  }
  const { choice, problems } = readChoice(data, location.search);
  document.getElementById("compare-problem").textContent = problems.join(" ");

  function createElement(name, text, attributes = {}) {
    return Object.assign(document.createElement(name), { textContent: text, ...attributes });
  }

  function createRow(row) {
    const line = document.createElement("tr");
    const name = createElement("th", row.unwinder, { scope: "row" });
    name.append(createElement("small", `${row.benchmark}, ${row.machine}`));
    const kind = row.level === "same" || row.now === row.old ? "" : row.now > row.old ? "dearer" : "cheaper";
    const cells = [
      [choice.from, formatValue(row, row.old), "number"],
      [choice.to, formatValue(row, row.now), "number"],
      ["Change", describeChange(row), `number ${kind}`],
    ];
    line.append(name, ...cells.map(([label, text, className]) => {
      const cell = createElement("td", text, { className });
      cell.dataset.label = label;
      return cell;
    }));
    return line;
  }

  function fillTable(id, rows) {
    const table = document.getElementById(id);
    const heads = table.querySelectorAll("thead .number");
    heads[0].textContent = choice.from;
    heads[1].textContent = choice.to;
    table.hidden = !rows.length;
    table.querySelectorAll("tbody").forEach((body) => body.remove());
    for (const shape of new Set(rows.map((row) => row.shape))) {
      const body = document.createElement("tbody");
      const head = document.createElement("tr");
      head.append(createElement("th", shape, { scope: "rowgroup", colSpan: 4, className: "shape" }));
      body.append(head, ...rows.filter((row) => row.shape === shape).map(createRow));
      table.append(body);
    }
  }

  function fillList(id, items) {
    const list = document.getElementById(id);
    list.hidden = !items.length;
    list.replaceChildren(...items);
  }

  function createStep({ release, causes }) {
    const item = createElement("li", `${release}: `);
    causes.forEach(({ name, address, what }, i) => {
      if (i) item.append("; ");
      item.append(address ? createElement("a", name, { href: address }) : name, what ? `: ${what}` : "");
    });
    return item;
  }

  function show() {
    for (const name of names) form.elements[name].value = choice[name];
    const rows = compareReleases(data, choice.from, choice.to, choice);
    const same = rows.filter((row) => row.level === "same");
    const summary = choice.from === choice.to ? "Choose two different releases." : summarize(rows);
    const sentences = [summary, describeGives(data, choice.from, choice.to)];
    form.querySelector("output").textContent = sentences.join(" ").trim();
    fillTable("differing", rows.filter((row) => row.level !== "same"));
    fillTable("same", same);
    form.querySelector("summary").textContent = `${same.length} values that did not change, or by less than the noise`;
    fillList("steps", findSteps(data, choice.from, choice.to).map(createStep));
    fillList("missing", findMissing(data, choice.from, choice.to).map((text) => createElement("li", text)));
  }

  form.hidden = false;
  form.addEventListener("change", () => {
    for (const name of names) choice[name] = form.elements[name].value;
    Object.assign(choice, orderChoice(data, choice));
    const query = new URLSearchParams(Object.entries(choice).filter(([, value]) => value));
    history.replaceState(null, "", `?${query}${location.hash}`);
    show();
  });
  form.addEventListener("submit", (event) => event.preventDefault());
  show();
})();
