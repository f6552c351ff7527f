// Sorting and filtering of the ledger. Without it the table is whole and in the order of the chapters.
const table = document.getElementById("ledger");
const body = table.tBodies[0];
const rows = [...body.rows];
const heads = [...table.tHead.rows[0].cells];
const text = (row, column) => row.cells[column].innerText.trim();
const filters = [
  ["Chapter", (row) => text(row, 0)],
  ["By whom", (row) => row.dataset.source],
  ["Word", (row) => row.dataset.word],
  ["Reach", (row) => text(row, 4)],
];

const bar = document.createElement("p");
bar.className = "ledger-filters";
const said = document.createElement("span");
said.setAttribute("role", "status");
const chosen = filters.map(([name, value]) => {
  const label = document.createElement("label");
  const select = document.createElement("select");
  const values = [...new Set(rows.map(value))];
  select.append(new Option("all", ""), ...values.map((one) => new Option(one, one)));
  select.addEventListener("change", show);
  label.append(`${name} `, select);
  bar.append(label);
  return select;
});
bar.append(said);
table.before(bar);

function show() {
  for (const row of rows) {
    row.hidden = filters.some(([, value], k) => chosen[k].value && chosen[k].value !== value(row));
  }
  said.textContent = `${rows.filter((row) => !row.hidden).length} of ${rows.length} claims`;
}

heads.forEach((head, column) => {
  const button = document.createElement("button");
  button.type = "button";
  button.textContent = head.textContent;
  head.replaceChildren(button);
  button.addEventListener("click", () => {
    const down = head.getAttribute("aria-sort") === "ascending";
    heads.forEach((other) => other.removeAttribute("aria-sort"));
    head.setAttribute("aria-sort", down ? "descending" : "ascending");
    const order = new Intl.Collator("en", { numeric: true }).compare;
    const sorted = [...rows].sort((a, b) => order(text(a, column), text(b, column)));
    body.append(...(down ? sorted.reverse() : sorted));
  });
});

// A link to a claim opens it.
function open() {
  const row = document.getElementById(decodeURIComponent(location.hash.slice(1)));
  if (row?.parentElement === body) {
    row.querySelector("details").open = true;
    row.scrollIntoView();
  }
}
addEventListener("hashchange", open);
show();
open();
