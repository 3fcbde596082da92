// The comparison of two releases: exact counts before gaps, then the largest difference first.

function compareReleases(data, from, to) {
  const [before, after] = [data.releases.indexOf(from), data.releases.indexOf(to)];
  const rows = [];
  for (const series of data.series) {
    const [old, now] = [series.values[before], series.values[after]];
    if (old == null || now == null) continue;
    const [oldValue, newValue] = series.counted ? [old, now] : [old[0], now[0]];
    const percent = oldValue ? (100 * (newValue - oldValue)) / oldValue : newValue ? Infinity : 0;
    // if ranges overlap, the difference may be noise
    const certain = series.counted || now[1] === null || now[1] > old[2] || now[2] < old[1];
    rows.push({ ...series, old: oldValue, now: newValue, percent, certain });
  }
  return rows.sort((left, right) =>
    right.counted - left.counted || right.certain - left.certain || Math.abs(right.percent) - Math.abs(left.percent));
}

function differs(row) {
  return row.certain && Math.abs(row.percent) >= 1;
}

function formatValue(row, value) {
  if (row.counted) return value.toLocaleString("en-US", { maximumFractionDigits: 0 });
  return `${Number(value.toPrecision(3))}×`;
}

function formatPercent(row) {
  if (!row.percent) return "0 %";
  const digits = Math.abs(row.percent) < 10 ? 2 : 1;
  return `${row.percent > 0 ? "+" : "−"}${Math.abs(row.percent).toFixed(digits)} %`;
}

(() => {
  if (typeof document === "undefined") return;
  const form = document.getElementById("compare");
  const data = JSON.parse(document.getElementById("values").textContent);
  const [from, to] = [form.elements.from, form.elements.to];
  const query = new URLSearchParams(location.search);
  const { measured } = data;
  for (const select of [from, to]) {
    for (const release of [...measured].reverse()) select.add(new Option(release));
  }
  from.value = measured.includes(query.get("from")) ? query.get("from") : (measured.at(-2) ?? measured[0]);
  to.value = measured.includes(query.get("to")) ? query.get("to") : measured.at(-1);

  function createElement(name, text, attributes = {}) {
    return Object.assign(document.createElement(name), { textContent: text, ...attributes });
  }

  function fillTable(id, rows) {
    const table = document.getElementById(id);
    const heads = table.querySelectorAll("thead .number");
    heads[0].textContent = from.value;
    heads[1].textContent = to.value;
    table.querySelector("tbody").replaceChildren(...rows.map((row) => {
      const line = document.createElement("tr");
      const name = createElement("th", `${row.unwinder}, ${row.shape}`, { scope: "row" });
      name.append(createElement("small", `${row.benchmark}, ${row.machine}`));
      const numbers = [formatValue(row, row.old), formatValue(row, row.now), formatPercent(row)];
      line.append(name, ...numbers.map((text) => createElement("td", text, { className: "number" })));
      return line;
    }));
  }

  function show() {
    const rows = compareReleases(data, from.value, to.value);
    const [differing, same] = [rows.filter(differs), rows.filter((row) => !differs(row))];
    fillTable("differing", differing);
    fillTable("same", same);
    const counts = differing.filter((row) => row.counted).length;
    form.querySelector("output").textContent =
      `${counts} counts and ${differing.length - counts} gaps differ; ${same.length} values do not.`;
    form.querySelector("summary").textContent =
      `${same.length} values that differ by less than 1 % or have overlapping ranges`;
  }

  form.hidden = false;
  form.addEventListener("change", () => {
    history.replaceState(null, "", `?from=${from.value}&to=${to.value}`);
    show();
  });
  form.addEventListener("submit", (event) => event.preventDefault());
  show();
})();
