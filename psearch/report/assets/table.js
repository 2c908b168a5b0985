// Sorting by a click on a column; rows without a value stay at the end.
for (const [column, head] of [...document.querySelectorAll("#table thead th")].entries())
  head.querySelector("button").addEventListener("click", () => sortBy(head, column));

function sortBy(head, column) {
  const descending = head.getAttribute("aria-sort") === "none" ? column > 0 : head.getAttribute("aria-sort") === "ascending";
  for (const other of head.parentNode.children) other.setAttribute("aria-sort", "none");
  head.setAttribute("aria-sort", descending ? "descending" : "ascending");
  const body = document.querySelector("#table tbody");
  const value = (row) => row.children[column].dataset.value;
  const order = (one, other) => {
    const [a, b] = [value(one), value(other)];
    if (a === "" || b === "") return (a === "") - (b === "");
    const sign = descending ? -1 : 1;
    return sign * (column ? Number(a) - Number(b) : a.localeCompare(b));
  };
  body.append(...[...body.rows].sort(order));
}
