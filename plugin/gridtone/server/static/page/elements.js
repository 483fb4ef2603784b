// Small helpers over the DOM.

export const $ = (id) => document.getElementById(id);

/** An element with attributes and children; strings become text, never markup. */
export function element(name, attributes = {}, ...children) {
  return fill(document.createElement(name), attributes, children);
}

export function svg(name, attributes = {}, ...children) {
  return fill(document.createElementNS("http://www.w3.org/2000/svg", name), attributes, children);
}

function fill(node, attributes, children) {
  for (const [key, value] of Object.entries(attributes)) if (value !== false && value !== undefined) node.setAttribute(key, value);
  node.append(...children.filter((child) => child !== undefined && child !== ""));
  return node;
}

/** Set a text only where it changed, so that selections and screen readers are left alone. */
export function text(node, words) {
  if (node.textContent !== words) node.textContent = words;
}

/** A table with a row of headings; cells are strings or nodes. */
export function table(caption, headings, rows) {
  return element(
    "table",
    {},
    element("caption", { class: "hidden-visually" }, caption),
    element("thead", {}, element("tr", {}, ...headings.map((heading) => element("th", { scope: "col" }, heading)))),
    element("tbody", {}, ...rows.map((cells) => element("tr", {}, ...cells.map((cell, i) => (i ? element("td", {}, cell) : element("th", { scope: "row" }, cell)))))),
  );
}
