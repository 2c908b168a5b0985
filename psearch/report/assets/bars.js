// One bar per student, grouped by size, coloured by distillation mode.
fill(byId("bars-metric"), metricNames);

const drawBars = drawn(byId("bars-chart"), (width) => {
  const metric = byId("bars-metric").value;
  const rows = data.rows.filter((row) => row.role === "student" && row.metrics[metric]);
  if (!rows.length) return [el("p", { class: "empty" }, "No student has finished.")];
  const references = data.rows.filter((row) => row.role !== "student" && row.metrics[metric]);
  const narrow = width < 640;
  const [left, step] = [narrow ? 0 : Math.min(300, width * 0.34), narrow ? 44 : 30];
  const [top, height] = [16 * references.length + 6, 16 * references.length + rows.length * step + 34];
  const highest = Math.max(...[...rows, ...references].map((row) => Math.max(row.metrics[metric].mean, ...row.metrics[metric].values)));
  const x = scale(0, highest * 1.06 || 1, left, width - 16, false);
  return [svg("svg", { height, role: "img", "aria-label": data.metrics[metric] + " by distillation mode" },
    x.ticks.map((value) => svg("line", { class: "grid", x1: x(value), x2: x(value), y1: top, y2: height - 28 })),
    x.ticks.map((value) => svg("text", { x: x(value), y: height - 12, "text-anchor": value ? "middle" : "start" }, short(100 * value) + " %")),
    rows.map((row, place) => bar(row, metric, x, top + place * step, narrow, left)),
    references.map((row, place) => reference(row, metric, x, 12 + 16 * place, height - 28)))];
});

function bar(row, metric, x, top, narrow, left) {
  const { mean, spread, values } = row.metrics[metric];
  const colour = data.modes[row.mode].colour;
  const middle = top + (narrow ? 28 : 14);
  const low = x(Math.max(0, mean - (spread || 0)));
  const lines = [`mean ${percent(mean)}`, ...values.map((value, i) => `seed ${row.seeds[i]}: ${percent(value)}`)];
  return svg("g", { onmousemove: (event) => tip(event, row.label, lines), onmouseleave: untip },
    svg("text", { class: "name", x: narrow ? 0 : left - 8, y: narrow ? top + 13 : middle + 4, "text-anchor": narrow ? "start" : "end" },
      row.label.length > 44 ? row.label.slice(0, 43) + "…" : row.label),
    svg("rect", { x: x(0), y: middle - 8, width: Math.max(1, x(mean) - x(0)), height: 16, rx: 3, fill: colour, opacity: 0.8 }),
    spread ? svg("line", { x1: low, x2: x(mean + spread), y1: middle, y2: middle, stroke: "var(--ink)", "stroke-width": 1.3 }) : null,
    values.map((value) => svg("circle", { cx: x(value), cy: middle, r: 3.2, fill: "var(--paper)", stroke: "var(--ink)" })));
}

function reference(row, metric, x, top, bottom) {
  const place = x(row.metrics[metric].mean);
  return [
    svg("line", { x1: place, x2: place, y1: top + 3, y2: bottom, stroke: "var(--quiet)", "stroke-dasharray": "4 3" }),
    svg("text", { x: place, y: top, "text-anchor": "end" }, `${row.label} ${percent(row.metrics[metric].mean)}`),
  ];
}
byId("bars-metric").addEventListener("change", drawBars);
