// The full difference of configs: two runs side by side, or all runs at once.
const { shared, own } = data.configs;
const runOptions = data.runs.map((run, place) => [place, run.name]);
fill(byId("configs-one"), [["", "all runs"], ...runOptions], "");
fill(byId("configs-other"), runOptions, 0);

function configRows() {
  const [one, other] = [byId("configs-one").value, byId("configs-other").value];
  byId("configs-other").disabled = one === "";
  const keys = [...new Set([...Object.keys(shared), ...own.flatMap(Object.keys)])].sort();
  const value = (place, key) => (Object.hasOwn(own[place], key) ? own[place][key] : Object.hasOwn(shared, key) ? shared[key] : "(not set)");
  if (one === "") return keys.map((key) => (Object.hasOwn(shared, key) ? [key, [shared[key]], false] : [key, [distinct(key)], true]));
  return keys.map((key) => [key, [value(one, key), value(other, key)], value(one, key) !== value(other, key)]);
}

function distinct(key) {
  const counts = new Map();
  for (const config of own) {
    const value = Object.hasOwn(config, key) ? config[key] : "(not set)";
    counts.set(value, (counts.get(value) || 0) + 1);
  }
  return [...counts].map(([value, count]) => `${value}  × ${count}`).join("\n");
}

function drawConfigs() {
  const all = byId("configs-all").checked;
  const rows = configRows().filter(([, , differs]) => all || differs);
  const heads = byId("configs-one").value === "" ? ["values and how many runs have them"]
    : [data.runs[byId("configs-one").value].name, data.runs[byId("configs-other").value].name];
  const head = el("tr", {}, el("th", {}, "key"), heads.map((text) => el("th", { style: "text-align:left" }, text)));
  const body = rows.map(([key, values, differs]) =>
    el("tr", { class: differs && all ? "differs" : "" }, el("th", { scope: "row" }, key), values.map((value) => el("td", {}, value))));
  const empty = el("tr", {}, el("th", {}, "no difference"));
  byId("configs-table").replaceChildren(el("thead", {}, head), el("tbody", {}, body.length ? body : [empty]));
}
for (const id of ["configs-one", "configs-other", "configs-all"]) byId(id).addEventListener("change", drawConfigs);
drawConfigs();
