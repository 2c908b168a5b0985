// Two variants, query by query: who won, who lost, with pictures of the largest changes.
const compared = Object.keys(data.ap).map(Number);
const comparedOptions = compared.map((place) => [place, data.rows[place].label]);
fill(byId("difference-one"), comparedOptions, data.pair[0]);
fill(byId("difference-other"), comparedOptions, data.pair[1] === undefined ? data.pair[0] : data.pair[1]);

function changes() {
  const [before, after] = [data.ap[byId("difference-one").value] || [], data.ap[byId("difference-other").value] || []];
  const count = Math.min(before.length, after.length);
  return Array.from({ length: count }, (_, query) => ({ query, before: before[query], after: after[query], change: after[query] - before[query] }))
    .filter((each) => each.before !== null && each.after !== null) // skipped: nobody to find
    .sort((a, b) => b.change - a.change || a.query - b.query);
}

const drawChanges = drawn(byId("difference-chart"), (width) => {
  const sorted = changes();
  if (!sorted.length) return [el("p", { class: "empty" }, "No two variants recorded their results per query.")];
  const height = 230;
  const x = scale(0, sorted.length, 48, width - 12, false);
  const y = scale(Math.min(-0.05, sorted[sorted.length - 1].change), Math.max(0.05, sorted[0].change), height - 42, 24, false);
  x.ticks = [];
  const bars = sorted.map(({ query, before, after, change }, place) => svg("rect", {
    x: x(place), width: Math.max(0.6, x(1) - x(0) - 0.5), y: Math.min(y(0), y(change)), height: Math.max(1, Math.abs(y(change) - y(0))),
    fill: change > 0 ? "var(--right)" : change < 0 ? "var(--wrong)" : "var(--quiet)", onmouseleave: untip,
    onmousemove: (event) => tip(event, `Search ${query}`, [`AP ${percent(before, 0)} → ${percent(after, 0)} (${points(change)} points)`]),
  }));
  const labels = { x: "searches, sorted by change", y: "change of AP, points" };
  return [svg("svg", { height, role: "img", "aria-label": labels.y }, frame(width, height, x, y, labels, { x: short, y: (value) => short(100 * value) }), bars)];
});

function compareVariants() {
  const sorted = changes();
  const places = [Number(byId("difference-one").value), Number(byId("difference-other").value)];
  drawChanges();
  const count = (sign) => sorted.filter(({ change }) => Math.sign(change) === sign).length;
  const mean = sorted.reduce((sum, { change }) => sum + change, 0) / (sorted.length || 1);
  byId("difference-summary").textContent = sorted.length
    ? `${count(1)} searches better, ${count(-1)} worse, ${count(0)} equal; mean change ${points(mean)} points of AP, averaged over seeds.` : "";
  const cards = (title, chosen) => chosen.length ? [el("h3", {}, title), ...chosen.map(({ query, before, after }) =>
    searchCard(query, [...new Set(places)], `Search ${query}: AP ${percent(before, 0)} → ${percent(after, 0)} (mean over seeds)`))] : [];
  byId("difference-list").replaceChildren(
    ...cards("Most improved", sorted.filter(({ change }) => change > 0).slice(0, 4)),
    ...cards("Most worsened", sorted.filter(({ change }) => change < 0).reverse().slice(0, 4)));
}
for (const id of ["difference-one", "difference-other"]) byId(id).addEventListener("change", compareVariants);
compareVariants();
