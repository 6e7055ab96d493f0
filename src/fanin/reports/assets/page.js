// Charts from the figures in the page, in the page's own colours; tables that sort. Nothing is fetched.
"use strict";
(async () => {
  const root = document.documentElement;
  const read = (id) => JSON.parse(document.getElementById(id).textContent);

  // Colours of a figure are names of CSS variables, so that one figure serves light, dark and print.
  const coloured = (value) => {
    if (typeof value === "string" && value.startsWith("var(--")) {
      return getComputedStyle(root).getPropertyValue(value.slice(4, -1)).trim();
    }
    if (Array.isArray(value)) return value.map(coloured);
    if (value && typeof value === "object") {
      return Object.fromEntries(Object.entries(value).map(([key, item]) => [key, coloured(item)]));
    }
    return value;
  };

  for (const table of document.querySelectorAll("table.sorts")) {
    const body = table.tBodies[0];
    const first = [...body.rows];
    table.querySelectorAll("th button").forEach((button, column) => {
      button.addEventListener("click", () => {
        const head = button.parentElement;
        const was = head.getAttribute("aria-sort");
        table.querySelectorAll("th").forEach((other) => other.removeAttribute("aria-sort"));
        if (was === "descending") { body.append(...first); return; }
        const down = was === "ascending";
        head.setAttribute("aria-sort", down ? "descending" : "ascending");
        const key = (row) => row.cells[column].dataset.v ?? row.cells[column].textContent;
        const numeric = first.some((row) => row.cells[column].dataset.v !== undefined);
        const sign = down ? -1 : 1;
        body.append(...[...first].sort((a, b) => {
          const [x, y] = [key(a), key(b)];
          if (!numeric) return sign * x.localeCompare(y, undefined, { numeric: true });
          const [u, v] = [parseFloat(x), parseFloat(y)];
          if (Number.isNaN(u) || Number.isNaN(v)) return Number.isNaN(u) - Number.isNaN(v);
          return sign * (u - v);
        }));
      });
    });
  }

  const places = [...document.querySelectorAll("[data-figure]")];
  if (!places.length) return;
  try {
    const packed = atob(document.getElementById("plotly").textContent.trim());
    const bytes = Uint8Array.from(packed, (letter) => letter.charCodeAt(0));
    const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"));
    const script = document.createElement("script");
    script.textContent = await new Response(stream).text();
    document.head.append(script);
  } catch (error) {
    for (const place of places) place.textContent = "This browser is too old to unpack the charts; the tables hold the same figures.";
    return;
  }

  const figures = read("figures");
  const touch = matchMedia("(pointer: coarse)").matches;
  const draw = () => {
    for (const place of places) {
      const { data, layout } = coloured(figures[place.dataset.figure]);
      if (touch) layout.dragmode = false;
      Plotly.react(place, data, layout, { displayModeBar: false, responsive: true });
    }
  };
  draw();
  // Plotly listens to the window only; a chart's box may change by itself.
  const fit = new ResizeObserver((changes) => {
    for (const { target } of changes) if (target.data) Plotly.Plots.resize(target);
  });
  for (const place of places) fit.observe(place);
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", draw);
  let opened = [];
  addEventListener("beforeprint", () => {
    root.dataset.print = "";
    opened = [...document.querySelectorAll("details:not([open])")];
    for (const part of opened) part.open = true;
    draw();
  });
  addEventListener("afterprint", () => {
    delete root.dataset.print;
    for (const part of opened) part.open = false;
    draw();
  });
  root.dataset.drawn = String(places.length);
})();
