// Elements, the theme, and the one tooltip. Text is only ever set as text.
const data = JSON.parse(document.getElementById("data").textContent);
const byId = (id) => document.getElementById(id);

function build(node, attributes, children) {
  for (const [name, value] of Object.entries(attributes || {})) {
    if (name.startsWith("on")) node.addEventListener(name.slice(2), value);
    else if (value !== null && value !== undefined) node.setAttribute(name, value);
  }
  node.append(...children.flat(Infinity).filter((child) => child !== null && child !== undefined));
  return node;
}
const el = (tag, attributes, ...children) => build(document.createElement(tag), attributes, children);
const svg = (tag, attributes, ...children) =>
  build(document.createElementNS("http://www.w3.org/2000/svg", tag), attributes, children);

const percent = (value, digits = 1) => (value === null || value === undefined ? "–" : (100 * value).toFixed(digits) + " %");
const points = (value) => (value > 0 ? "+" : value < 0 ? "−" : "±") + Math.abs(100 * value).toFixed(1);

function short(value) {
  for (const [size, unit] of [[1e9, " G"], [1e6, " M"], [1e3, " k"]])
    if (Math.abs(value) >= size) return +(value / size).toPrecision(3) + unit;
  return String(+value.toPrecision(3));
}

function fill(select, options, chosen) {
  select.append(...options.map(([value, text]) => el("option", { value }, text)));
  if (chosen !== undefined) select.value = chosen;
}

function tip(event, title, lines) {
  const box = byId("tip");
  box.replaceChildren(el("b", {}, title), ...lines.flatMap((line) => [line, el("br")]));
  box.hidden = false;
  const target = event.clientX === undefined || event.type === "focus" ? event.target.getBoundingClientRect() : null;
  const [x, y] = target ? [target.right, target.top] : [event.clientX, event.clientY];
  box.style.left = Math.max(4, Math.min(x + 14, innerWidth - box.offsetWidth - 6)) + "px";
  box.style.top = Math.max(4, Math.min(y + 14, innerHeight - box.offsetHeight - 6)) + "px";
}
const untip = () => { byId("tip").hidden = true; };

function setTheme(theme) {
  document.documentElement.dataset.theme = theme;
}
const system = matchMedia("(prefers-color-scheme: dark)");
setTheme(system.matches ? "dark" : "light");
system.addEventListener("change", (event) => setTheme(event.matches ? "dark" : "light"));
byId("theme").addEventListener("click", () => setTheme(document.documentElement.dataset.theme === "dark" ? "light" : "dark"));
