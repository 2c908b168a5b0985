// Searches as pictures: the query, and the ranked results of each variant.
const picture = (number, attributes) =>
  number === null || number === undefined ? null : el("img", { src: data.pictures[number], loading: "lazy", ...attributes });

function searchCard(query, places, title) {
  const shown = data.queries[query] || {};
  return el("article", { class: "search" },
    el("h3", {}, title),
    el("div", { class: "query" }, picture(shown.crop, { alt: "query" }), picture(shown.scene, { alt: "scene of the query", class: "scene" })),
    el("div", { class: "strips" }, places.map((place) => strip(query, place))));
}

function strip(query, place) {
  const shown = (data.strips[place] || {})[query];
  const label = data.rows[place].label;
  if (!shown) return el("div", { class: "strip" }, el("h4", {}, `${label}: no pictures of this search in this report`));
  const title = `${label} · seed ${data.seeds[place]}` + (shown.ap === null ? "" : ` · AP ${percent(shown.ap, 0)}`);
  const answers = shown.results.map(([number, similarity, correct], rank) =>
    el("li", { class: correct ? "right" : "wrong", title: `rank ${rank + 1}: ${correct ? "right" : "wrong"}, similarity ${similarity}` },
      picture(number, { alt: correct ? "right" : "wrong" }) || el("span", { class: "blank" }),
      `${correct ? "✓" : "✗"} ${similarity.toFixed(2)}`));
  const none = el("p", { class: "empty" }, "No detection above the score threshold.");
  return el("div", { class: "strip" }, el("h4", {}, title), answers.length ? el("ol", {}, answers) : none);
}

const examples = data.examples.map((query) => searchCard(query, data.pair, `Search ${query}`));
byId("searches-list").append(...(examples.length ? examples : [el("p", { class: "empty" }, "This report was written without pictures of searches.")]));

for (const place of [...new Set(data.detections.map(({ row }) => row))]) {
  const scenes = data.detections.filter(({ row, picture: number }) => row === place && number !== null);
  byId("detections-list").append(el("h3", {}, data.rows[place].label), ...scenes.map(({ scene, seed, picture: number }) =>
    el("figure", {}, picture(number, { alt: `detections in ${scene}` }), el("figcaption", {}, `${scene}, seed ${seed}`))));
}
if (!data.detections.length) byId("detections-list").append(el("p", { class: "empty" }, "This report was written without pictures of scenes."));
