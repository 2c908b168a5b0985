// Learning curves of all runs; a chip per run switches it on and off.
const hiddenRuns = new Set();
const runLabel = (run) => `${data.rows[data.runs[run].row].label} · seed ${data.runs[run].seed}`;
const runColour = (run) => data.modes[data.rows[data.runs[run].row].mode].colour;
const dashes = ["", "6 3", "2 3", "9 3 2 3"];
const runDash = (run) => dashes[Math.max(0, data.rows[data.runs[run].row].seeds.indexOf(data.runs[run].seed)) % dashes.length];
const matches = (run) => runLabel(run).toLowerCase().includes(byId("curves-filter").value.toLowerCase());
fill(byId("curves-metric"), Object.keys(data.curves).map((name) => [name, name]));

const drawCurves = drawn(byId("curves-chart"), (width) => {
  const curves = (data.curves[byId("curves-metric").value] || []).filter(({ run }) => !hiddenRuns.has(run) && matches(run));
  if (!curves.length) return [el("p", { class: "empty" }, Object.keys(data.curves).length ? "No run is switched on." : "No run has written metrics.jsonl.")];
  const height = Math.min(400, Math.max(280, width * 0.5));
  const range = (part) => curves.reduce(([low, high], curve) => curve[part].reduce(([a, b], v) => [Math.min(a, v), Math.max(b, v)], [low, high]), [Infinity, -Infinity]);
  const [[first, last], [low, high]] = [range("x"), range("y")];
  const x = scale(first - (first === last), last + (first === last), 48, width - 12, false);
  const y = scale(low >= 0 && low < high / 2 ? 0 : low, high === low ? high + 1 : high, height - 42, 24, false);
  const lines = curves.map((curve) => svg("polyline", {
    class: "curve", stroke: runColour(curve.run), "stroke-dasharray": runDash(curve.run),
    points: curve.x.map((value, i) => `${x(value).toFixed(1)},${y(curve.y[i]).toFixed(1)}`).join(" "),
  }));
  const dots = curves.filter((curve) => curve.x.length === 1).map((curve) =>
    svg("circle", { class: "alone", cx: x(curve.x[0]), cy: y(curve.y[0]), r: 4, fill: runColour(curve.run) }));
  const leave = () => { untip(); lines.forEach((line) => line.setAttribute("class", "curve")); };
  return [svg("svg", {
    height, role: "img", "aria-label": "learning curves", onmouseleave: leave,
    onmousemove: (event) => pointAt(event, curves, lines, x, y),
  }, svg("rect", { width, height, fill: "transparent" }),
    frame(width, height, x, y, { x: "step", y: byId("curves-metric").value }, { x: short, y: short }), lines, dots)];
});

function pointAt(event, curves, lines, x, y) {
  const box = event.currentTarget.getBoundingClientRect();
  const [left, top] = [event.clientX - box.left, event.clientY - box.top];
  let best = { distance: Infinity };
  curves.forEach((curve, place) => curve.x.forEach((value, i) => {
    const distance = Math.abs(x(value) - left) * 3 + Math.abs(y(curve.y[i]) - top);
    if (distance < best.distance) best = { distance, place, i };
  }));
  const curve = curves[best.place];
  lines.forEach((line, place) => line.setAttribute("class", place === best.place ? "curve strong" : "curve faint"));
  tip(event, runLabel(curve.run), [`step ${short(curve.x[best.i])}: ${+curve.y[best.i].toPrecision(4)}`]);
}

const curveRuns = [...new Set(Object.values(data.curves).flat().map(({ run }) => run))].sort((a, b) => a - b);
const chips = new Map(curveRuns.map((run) => [run, el("button", {
  type: "button", "aria-pressed": "true", onclick: () => switchRuns([run], hiddenRuns.has(run)),
}, el("i", { class: "dot", style: `background:${runColour(run)}` }), runLabel(run))]));
byId("curves-legend").append(...chips.values());

function switchRuns(runs, on) {
  for (const run of runs) {
    if (on) hiddenRuns.delete(run);
    else hiddenRuns.add(run);
    chips.get(run).setAttribute("aria-pressed", String(on));
  }
  drawCurves();
}
byId("curves-metric").addEventListener("change", drawCurves);
byId("curves-all").addEventListener("click", () => switchRuns(curveRuns.filter(matches), true));
byId("curves-none").addEventListener("click", () => switchRuns(curveRuns.filter(matches), false));
byId("curves-filter").addEventListener("input", () => {
  for (const [run, chip] of chips) chip.hidden = !matches(run);
  drawCurves();
});
