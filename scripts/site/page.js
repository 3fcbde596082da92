// Draws the charts, and keeps them at the size that is chosen.
(() => {
  const charts = JSON.parse(document.getElementById("charts").textContent);
  const size = document.getElementById("size");
  const dark = matchMedia("(prefers-color-scheme: dark)");
  const views = [];

  async function draw() {
    const { color } = getComputedStyle(document.body);
    const ink = { labelColor: color, titleColor: color };
    const faint = "#8888";
    const config = {
      background: null,
      axis: { ...ink, gridColor: "#8883", domainColor: faint, tickColor: faint },
      legend: { ...ink, symbolStrokeColor: color, columns: innerWidth < 600 ? 1 : 2 },
      view: { stroke: null },
      rule: { color },
      text: { color },
    };
    for (const view of views.splice(0)) view.finalize();
    for (const [id, chart] of Object.entries(charts)) {
      const { view } = await vegaEmbed(`#${id}`, chart, {
        config,
        renderer: "svg",
        actions: { export: true, source: false, compiled: false, editor: false },
        tooltip: { theme: dark.matches ? "dark" : "light" },
      });
      views.push(view);
    }
    await choose();
  }

  async function choose() {
    for (const view of views) {
      if ("size" in view.getState().signals) await view.signal("size", size.value).runAsync();
    }
    document.body.dataset.drawn = size.value;
  }

  function follow() {
    const wanted = location.hash.slice(1);
    if ([...size.options].some((option) => option.value === wanted)) size.value = wanted;
  }

  size.closest("p").hidden = false;
  size.addEventListener("change", () => {
    history.replaceState(null, "", `#${size.value}`);
    choose();
  });
  addEventListener("hashchange", () => {
    follow();
    choose();
  });
  dark.addEventListener("change", draw);
  follow();
  draw();
})();
