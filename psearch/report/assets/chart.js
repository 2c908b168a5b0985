// Scales, axes and a chart that is drawn again when its width changes.
const MARKERS = {
  o: "M-5 0A5 5 0 1 0 5 0A5 5 0 1 0-5 0Z", s: "M-4.6-4.6H4.6V4.6H-4.6Z", "^": "M0-6L5.6 4.4H-5.6Z",
  v: "M0 6L5.6-4.4H-5.6Z", D: "M0-6.2L6.2 0L0 6.2L-6.2 0Z", d: "M0-7L4.4 0L0 7L-4.4 0Z",
  P: "M-2-5.5H2V-2H5.5V2H2V5.5H-2V2H-5.5V-2H-2Z", X: "M-5.2-2.6L-2.6-5.2L0-2.6L2.6-5.2L5.2-2.6L2.6 0L5.2 2.6L2.6 5.2L0 2.6L-2.6 5.2L-5.2 2.6L-2.6 0Z",
  "*": "M0-7L2-2.3L7-2L3.1 1.2L4.4 6L0 3.3L-4.4 6L-3.1 1.2L-7-2L-2-2.3Z",
};

function drawn(container, draw) {
  let width = 0;
  const again = () => {
    width = container.clientWidth;
    if (width) container.replaceChildren(...draw(width));
  };
  new ResizeObserver(() => requestAnimationFrame(() => container.clientWidth !== width && again())).observe(container);
  again();
  return again;
}

function scale(low, high, from, to, log) {
  const turn = log ? Math.log10 : (value) => value;
  const [a, b] = [turn(low), turn(high)];
  const place = (value) => from + ((turn(value) - a) / (b - a || 1)) * (to - from);
  const room = Math.abs(to - from);
  const count = Math.max(2, Math.floor(room / 50));
  const powers = log ? logTicks(a, b, room) : [];
  place.ticks = powers.length > 1 ? powers : linearTicks(low, high, log ? Math.min(4, count) : count);
  return place;
}

function linearTicks(low, high, count) {
  const rough = (high - low) / count || 1;
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = power * [1, 2, 5, 10].find((multiple) => multiple * power >= rough);
  const first = Math.ceil(low / step);
  return Array.from({ length: Math.floor(high / step + 1e-9) - first + 1 }, (_, i) => +((first + i) * step).toPrecision(12));
}

function logTicks(a, b, room) {
  for (const multiples of [[1, 2, 5], [1, 3], [1]]) {
    const ticks = [];
    for (let power = Math.floor(a); power <= b; power += 1)
      for (const multiple of multiples) {
        const value = multiple * 10 ** power;
        if (Math.log10(value) >= a - 1e-9 && Math.log10(value) <= b + 1e-9) ticks.push(value);
      }
    if (ticks.length * 46 <= room || multiples.length === 1) return ticks;
  }
}

function frame(width, height, x, y, labels, texts) {
  const [left, right, top, bottom] = [48, width - 12, 12, height - 42];
  return [
    ...y.ticks.map((value) => svg("line", { class: "grid", x1: left, x2: right, y1: y(value), y2: y(value) })),
    ...y.ticks.map((value) => svg("text", { x: left - 7, y: y(value) + 4, "text-anchor": "end" }, texts.y(value))),
    ...x.ticks.map((value) => svg("text", { x: x(value), y: bottom + 17, "text-anchor": "middle" }, texts.x(value))),
    svg("text", { x: right, y: height - 6, "text-anchor": "end" }, labels.x + " →"),
    svg("text", { x: left - 40, y: top - 1 }, "↑ " + labels.y),
  ];
}

function legend(modes) {
  return el("div", { class: "legend" }, modes.map((mode) =>
    el("span", { class: "key" }, svg("svg", { viewBox: "-8 -8 16 16", "aria-hidden": "true" },
      svg("path", { d: MARKERS[data.modes[mode].marker], fill: data.modes[mode].colour })), mode)));
}
