// Accuracy against cost, axes by choice.
const metricNames = Object.entries(data.metrics).filter(([name]) => data.rows.some((row) => row.metrics[name]));
const costNames = Object.entries(data.costs).filter(([name]) => data.rows.some((row) => row.costs[name] !== undefined));
fill(byId("frontier-x"), costNames);
fill(byId("frontier-y"), metricNames);

const drawFrontier = drawn(byId("frontier-chart"), (width) => {
  const [cost, metric] = [byId("frontier-x").value, byId("frontier-y").value];
  const rows = data.rows.filter((row) => row.costs[cost] !== undefined && row.metrics[metric]);
  if (!rows.length) return [el("p", { class: "empty" }, "No finished run has both an accuracy and a cost.")];
  const height = Math.min(430, Math.max(300, width * 0.55));
  const costs = rows.map((row) => row.costs[cost]);
  const log = byId("frontier-log").checked && Math.min(...costs) > 0;
  const tops = rows.map((row) => row.metrics[metric].mean + (row.metrics[metric].spread || 0));
  const lowest = Math.min(...rows.map((row) => row.metrics[metric].mean - (row.metrics[metric].spread || 0)));
  const x = scale(log ? Math.min(...costs) / 1.35 : 0, Math.max(...costs) * (log ? 1.35 : 1.06), 48, width - 12, log);
  const y = scale(Math.min(0, lowest), Math.max(...tops) * 1.08 || 1, height - 42, 24, false);
  const labels = { x: data.costs[cost], y: data.metrics[metric] + ", %" };
  const marks = rows.map((row) => frontierMark(row, x(row.costs[cost]), y, metric, cost));
  return [
    svg("svg", { height, role: "img", "aria-label": `${labels.y} against ${labels.x}` },
      frame(width, height, x, y, labels, { x: short, y: (value) => short(100 * value) }),
      frontierLines(rows, x, y, metric, cost), marks),
    legend([...new Set(rows.map((row) => row.mode))]),
  ];
});

function frontierLines(rows, x, y, metric, cost) {
  const lines = new Map();
  for (const row of rows) if (row.role === "student") lines.set(row.line, [...(lines.get(row.line) || []), row]);
  return [...lines.values()].filter((line) => line.length > 1).map((line) => {
    const ordered = [...line].sort((a, b) => a.costs[cost] - b.costs[cost]);
    const path = ordered.map((row) => `${x(row.costs[cost])},${y(row.metrics[metric].mean)}`).join(" ");
    return svg("polyline", { class: "curve", points: path, stroke: data.modes[line[0].mode].colour });
  });
}

function frontierMark(row, left, y, metric, cost) {
  const { mean, spread, interval, values } = row.metrics[metric];
  const colour = data.modes[row.mode].colour;
  const lines = [
    `${data.metrics[metric]}: ${percent(mean)}${interval === null ? "" : ` ± ${(100 * interval).toFixed(1)} (95 %)`}`,
    `${data.costs[cost]}: ${short(row.costs[cost])}`,
    `${values.length} seed${values.length === 1 ? "" : "s"}: ${values.map((value) => (100 * value).toFixed(1)).join(", ")}`,
  ];
  const show = (event) => tip(event, row.label, lines);
  return [
    spread ? svg("line", { x1: left, x2: left, y1: y(mean - spread), y2: y(mean + spread), stroke: colour, "stroke-width": 1.5 }) : null,
    svg("path", {
      class: "mark", d: MARKERS[data.modes[row.mode].marker], fill: colour, tabindex: 0, "aria-label": [row.label, ...lines].join(", "),
      transform: `translate(${left} ${y(mean)}) scale(1.25)`, onmousemove: show, onfocus: show, onmouseleave: untip, onblur: untip,
    }),
  ];
}
for (const id of ["frontier-x", "frontier-y", "frontier-log"]) byId(id).addEventListener("change", drawFrontier);
