// Building elements and writing numbers, for the page and for the tab in Locust's own. Text is only ever inserted as text.

/** Control and other characters that are not seen, written out: a server's message must not turn a line around. */
const printable = (text) => String(text).replace(/[^\P{C}\n]|[\u2028\u2029]/gu, (c) => {
  const code = c.codePointAt(0).toString(16);
  return code.length < 3 ? `\\x${code.padStart(2, "0")}` : `\\u${code.padStart(4, "0")}`;
});

export const byId = (id) => document.getElementById(id);

/** An element; a child is an element or a text, and none where it is null or "". */
export function el(tag, attributes = {}, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (name.startsWith("on")) node.addEventListener(name.slice(2), value);
    else if (value !== null && value !== undefined && value !== false) node.setAttribute(name, value === true ? "" : value);
  }
  node.append(...children.filter((child) => child !== null && child !== undefined && child !== "")
    .map((child) => (child instanceof Node ? child : printable(child))));
  return node;
}

const grouped = new Intl.NumberFormat("en-US");
export const count = (value) => grouped.format(Math.round(value));

/** About three digits, as in the report's text; a dash where there is nothing. */
export function short(value) {
  if (value === null || value === undefined) return "-";
  if (value >= 100) return count(value);
  return value.toFixed(value >= 10 ? 1 : 2);
}

/** The same without the zeros behind the point, for values that are round. */
export function plain(value) {
  const text = short(value);
  return text.includes(".") ? text.replace(/\.?0+$/, "") : text;
}

/** A share as a percentage, rounded down: 100 % is all. */
export const percent = (share) => (share === null || share === undefined ? "-" : `${(Math.floor(share * 1e4) / 1e2).toFixed(2)}%`);

/** Bytes in the unit that fits. */
export function size(bytes) {
  const units = ["B", "KiB", "MiB", "GiB", "TiB"];
  const power = Math.min(Math.floor(Math.log2(Math.max(bytes, 1)) / 10), 4);
  const amount = bytes / 1024 ** power;
  return `${amount.toLocaleString("en-US", power ? { minimumFractionDigits: 1, maximumFractionDigits: 1 } : {})} ${units[power]}`;
}

export function hms(seconds) {
  const s = Math.round(seconds);
  return [Math.floor(s / 3600), Math.floor(s / 60) % 60, s % 60].map((n, i) => (i ? String(n).padStart(2, "0") : n)).join(":");
}

/** The badge of a status, red where something is at fault; colour is never the only sign. */
export function badge(status, fault = false) {
  const kinds = { passed: "good", pass: "good", failed: "bad", fail: "bad", "failures allowed": "warn", "too few to say": "warn", yes: "good", no: "bad", "with care": "warn",
    agrees: "good", more: "warn", held: "good", "client-limited": "warn", "users busy": "warn" };
  return el("span", { class: `badge ${fault ? "bad" : kinds[status] || "soft"}` }, status);
}

/** Why a scenario has its status, why runs were skipped, what became of deferred checks: [text, class]. */
export function notes(scenario) {
  const others = scenario.notes.map((text) => [text, ""]);
  return scenario.why ? [[scenario.why, scenario.at_fault ? "bad" : ""], ...others] : others;
}

/** A table; `right`: the columns of numbers. A row is a list of cells or of what stands in them; the first heads it. */
export function table(heads, rows, right = []) {
  const kind = (i) => (right.includes(i) ? "n" : "");
  const head = heads.map((title, i) => el("th", { scope: "col", class: kind(i) }, title));
  const made = (what, i) => (what instanceof HTMLTableCellElement ? what : i ? el("td", { class: kind(i) }, what) : el("th", { scope: "row" }, what));
  const body = rows.map((cells) => el("tr", {}, ...cells.map(made)));
  return el("table", {}, el("thead", {}, el("tr", {}, ...head)), el("tbody", {}, ...body));
}

/** A cell with a number, red where it should not be. */
export const cell = (text, failing = false) => el("td", { class: failing ? "n failing" : "n" }, text);

/** As in Locust: its own switch first, then the system's setting. A sandboxed file has no storage. */
export function dark() {
  let chosen = null;
  try {
    chosen = localStorage.getItem("theme");
  } catch {
    // The system's setting, then.
  }
  return chosen ? chosen === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
}
