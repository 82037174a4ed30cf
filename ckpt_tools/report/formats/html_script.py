"""What a page with records runs: it sorts, filters and pages them. Nothing else on a page runs.

The records are JSON in the page. Every text is set as text, never as markup, and nothing is loaded.
"""

from __future__ import annotations

SCRIPT = """
"use strict";
const PAGE = 50;
const numbers = new Intl.NumberFormat("en");
function element(tag, properties, ...children) {
  const made = Object.assign(document.createElement(tag), properties);
  made.append(...children);
  return made;
}
function size(bytes) {
  let value = bytes, unit = 0;
  while (value >= 1000 && unit < 4) { value /= 1000; unit++; }
  const text = unit === 0 || value >= 100 ? value.toFixed(0) : value.toFixed(1);
  return text + " " + ["B", "kB", "MB", "GB", "TB"][unit];
}
function show(holder) {
  const data = JSON.parse(holder.querySelector("script").textContent);
  const columns = data.columns, count = data.cells[0].length;
  const state = {search: "", chosen: columns.map(() => ""), column: -1, down: false, page: 0};
  let rows = [];
  const body = element("tbody");
  const status = element("p", {className: "aside"});
  status.setAttribute("role", "status");
  const heads = columns.map((column, at) => head(column, at));
  const back = pager("Previous", -1), next = pager("Next", 1);

  function matches(row) {
    for (let at = 0; at < columns.length; at++) {
      const wanted = state.chosen[at];
      if (wanted === "") continue;
      const cell = data.cells[at][row];
      if (columns[at].kind === "tags" ? !cell.includes(+wanted) : cell !== +wanted) return false;
    }
    if (state.search === "") return true;
    return columns.some((column, at) =>
      column.kind === "text" && data.cells[at][row].toLowerCase().includes(state.search));
  }
  function key(at) {
    const cells = data.cells[at], kind = columns[at].kind, names = columns[at].names;
    if (kind === "choice") return row => names[cells[row]];
    return kind === "tags" ? row => cells[row].length : row => cells[row];
  }
  function update() {
    rows = [];
    for (let row = 0; row < count; row++) if (matches(row)) rows.push(row);
    if (state.column >= 0) {
      const of = key(state.column), sign = state.down ? -1 : 1;
      rows.sort((a, b) => {
        const x = of(a), y = of(b);
        return x < y ? -sign : x > y ? sign : a - b;
      });
    }
    state.page = 0;
    draw();
  }
  function draw() {
    const first = state.page * PAGE, last = Math.min(first + PAGE, rows.length);
    body.replaceChildren(...rows.slice(first, last).map(line));
    const all = rows.length === count ? "" : " (of " + numbers.format(count) + ")";
    status.textContent = rows.length === 0 ? "No " + data.name + " match" + all :
      numbers.format(first + 1) + " to " + numbers.format(last) + " of " +
      numbers.format(rows.length) + " " + data.name + all;
    back.disabled = state.page === 0;
    next.disabled = last >= rows.length;
    heads.forEach((cell, at) => cell.setAttribute("aria-sort",
      at !== state.column ? "none" : state.down ? "descending" : "ascending"));
  }
  function line(row) {
    return element("tr", {}, ...columns.map((column, at) => {
      const cell = data.cells[at][row];
      if (at === 0) return name(row, cell);
      if (column.kind === "choice") return element("td", {}, column.names[cell]);
      if (column.kind === "tags") return element("td", {}, ...tags(column.names, cell));
      if (column.kind === "text") return element("td", {}, cell);
      const text = column.kind === "size" ? size(cell) : cell ? numbers.format(cell) : "";
      return element("td", {className: "right"}, text);
    }));
  }
  function name(row, text) {
    const made = element("th", {scope: "row"}), details = data.details[row];
    if (!details) made.append(text);
    else made.append(element("details", {}, element("summary", {}, text),
      element("ul", {className: "details"}, ...details.map(one => element("li", {}, one)))));
    return made;
  }
  function tags(names, cell) {
    return cell.flatMap(one => [document.getElementById(names[one]) ?
      element("a", {href: "#" + names[one]}, names[one]) : names[one], " "]);
  }
  function head(column, at) {
    const button = element("button", {type: "button"}, column.title);
    button.addEventListener("click", () => {
      const isNumber = column.kind !== "text" && column.kind !== "choice";
      state.down = state.column === at ? !state.down : isNumber;
      state.column = at;
      update();
    });
    return element("th", {scope: "col"}, button);
  }
  function pager(text, by) {
    const button = element("button", {type: "button"}, text);
    button.addEventListener("click", () => { state.page += by; draw(); });
    return button;
  }
  function filter(column, at) {
    const select = element("select", {name: column.title}, element("option", {value: ""}, "all"),
      ...column.names.map((one, value) =>
        element("option", {value: String(value)}, one === "" ? "none" : one)));
    select.addEventListener("change", () => { state.chosen[at] = select.value; update(); });
    return element("label", {}, column.title + " ", select);
  }
  const search = element("input", {type: "search", name: "search"});
  let waiting = 0;
  search.addEventListener("input", () => {
    clearTimeout(waiting);
    waiting = setTimeout(() => { state.search = search.value.toLowerCase(); update(); }, 150);
  });
  const controls = element("div", {className: "controls"}, element("label", {}, "search ", search));
  columns.forEach((column, at) => { if (column.names) controls.append(filter(column, at)); });
  const table = element("table", {}, element("thead", {}, element("tr", {}, ...heads)), body);
  const scroll = element("div", {className: "scroll", tabIndex: 0}, table);
  scroll.setAttribute("role", "region");
  scroll.setAttribute("aria-label", data.name);
  holder.replaceChildren(controls, status, scroll,
    element("div", {className: "controls"}, back, next));
  update();
}
document.querySelectorAll(".records").forEach(show);
"""
