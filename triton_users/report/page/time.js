// The charts over time: all scenarios together, each one by itself, and which of them are shown.

import { Chart } from "./chart.js";
import { badge, byId, count, el, hms, short } from "./format.js";

const COLOURS = 10; // base.css has c0 to c9
const rate = (value) => `${short(value)}/s`;
const whole = (value) => (value === null ? "-" : count(value));
const ms = (value) => (value === null ? "-" : `${short(value)} ms`);
const cards = new Map(); // scenario -> its card
let chosen = null; // names of the scenarios shown, null: all
let given = null; // what was shown last, to show it again when the choice changes
let zoomed = () => {};

const inPart = (name, key, without) => (row) => row.scenarios[name]?.[key] ?? without;
const perMinute = (key) => (row) => (60 * sum(row, key)) / (row.end - row.start);
const sum = (row, key) => Object.entries(row.scenarios).reduce((total, [name, part]) => total + (isChosen(name) ? part[key] || 0 : 0), 0);
const isChosen = (name) => !chosen || chosen.has(name);
const shownName = (name) => name || "(none)";

/** A chart, its heading, and what the pointer reads there: `lines(row)` gives [name, value]. */
function framed(options, hint, lines) {
  const chart = new Chart({ ...options, pointed: (one, row, place, byKeys) => tip(row, place, byKeys, options.label, lines), zoomed: (...span) => zoomed(...span) });
  const legend = el("span", { class: "soft small legend" }, ...hint);
  return { chart, root: el("figure", { class: "card", "data-chart": options.label }, el("figcaption", {}, el("b", {}, options.label), legend), chart.root) };
}

const swatch = (colour) => el("i", { class: colour });
const GAUGES = [
  { name: "Users", colour: "users", value: (row) => row.users },
  { name: "Open sequences", colour: "open", value: (row) => row.open },
];
const ARRIVED = [
  { name: "Intended", colour: "open", value: (row) => row.intended_per_s },
  { name: "Issued", colour: "rate", value: (row) => row.issued_per_s },
  { name: "Missed", colour: "bad", value: (row) => row.missed_per_s },
];
const overview = {
  rate: framed({ label: "Answered requests per second", kind: "stack", show: rate, height: 190 }, ["by scenario"], (row) => [
    ["All", rate(sum(row, "requests_per_s"))],
    ...Object.entries(row.scenarios).filter(([name, part]) => part.requests_per_s && isChosen(name))
      .sort(([, a], [, b]) => b.requests_per_s - a.requests_per_s).map(([name, part]) => [shownName(name), rate(part.requests_per_s)]),
  ]),
  gauges: framed({ label: "Users and open sequences", kind: "steps", show: whole, height: 190 }, [swatch("users"), "users", swatch("open"), "open sequences"],
    (row) => GAUGES.map(({ name, value }) => [name, whole(value(row))])),
  arrivals: framed({ label: "Arrivals per second", kind: "line", show: rate, height: 190 },
    [swatch("open"), "intended", swatch("rate"), "issued", swatch("bad"), "missed"], (row) => ARRIVED.map(({ name, value }) => [name, rate(value(row))])),
  failed: framed({ label: "Failed runs per minute", kind: "steps", height: 120 }, [], (row) => [["Failed runs", count(sum(row, "failures"))]]),
  deadlines: framed({ label: "Expected deadlines per minute", kind: "steps", height: 120 }, ["fired where they must"],
    (row) => [["Expected deadlines", count(sum(row, "expected_deadlines"))]]),
};
byId("overview").append(...Object.values(overview).map(({ root }) => root));

/** Another run begins: its scenarios may be others. */
export function forgetCharts() {
  for (const { charts } of cards.values()) for (const chart of charts) chart.destroy();
  cards.clear();
  byId("cards").replaceChildren();
  chosen = null;
}

/** `rows`: points of the run from `from` to `to`, in seconds; `zoom(from, to)` shows another stretch. */
export function showCharts({ scenarios, findings, arrivals }, rows, from, to, zoom) {
  given = [{ scenarios, findings, arrivals }, rows, from, to, zoom];
  zoomed = zoom;
  const colours = new Map(scenarios.map(({ name }, i) => [name, `c${i % COLOURS}`]));
  const active = scenarios.filter(({ name }) => rows.some(({ scenarios: parts }) => parts[name]?.requests_per_s || parts[name]?.failures));
  const bands = joined(findings, (to - from) / 200); // closer than this they are one or two pixels apart
  const shown = active.filter(({ name }) => isChosen(name));
  showChips(scenarios, colours);
  const rates = shown.map(({ name }) => ({ name: shownName(name), colour: colours.get(name), value: inPart(name, "requests_per_s", 0) }));
  overview.rate.chart.update(rates, rows, from, to, { bands });
  overview.gauges.chart.update(GAUGES.filter(({ value }) => rows.some((row) => value(row) !== null)), rows, from, to);
  overview.arrivals.root.hidden = !arrivals;
  if (arrivals) overview.arrivals.chart.update(ARRIVED, rows, from, to, { bands });
  overview.failed.chart.update([{ name: "Failed runs", colour: "bad", value: perMinute("failures") }], rows, from, to);
  overview.deadlines.chart.update([{ name: "Expected deadlines", colour: "deadline", value: perMinute("expected_deadlines") }], rows, from, to);
  const drawn = shown.map((scenario) => showCard(scenario, colours.get(scenario.name), rows, from, to, bands));
  const home = byId("cards");
  if (drawn.length !== home.children.length || drawn.some((node, i) => home.children[i] !== node)) home.replaceChildren(...drawn);
}

// ---- which scenarios ------------------------------------------------------------------------------------------------

/** The first click chooses one scenario, further ones add or remove; without any, all are shown. */
function choose(name) {
  if (!chosen) chosen = new Set([name]);
  else if (!chosen.delete(name)) chosen.add(name);
  if (!chosen.size || name === null) chosen = null;
  showCharts(...given);
}

function showChips(scenarios, colours) {
  const home = byId("chosen");
  const wanted = [...colours.keys()].join("\n");
  if (home.dataset.names !== wanted) {
    home.dataset.names = wanted;
    home.replaceChildren(
      el("button", { type: "button", class: "chip", onclick: () => choose(null) }, "All"),
      ...scenarios.map(({ name }) => el("button", { type: "button", class: "chip", onclick: () => choose(name) }, swatch(colours.get(name)), shownName(name))));
  }
  const [all, ...each] = home.children;
  all.setAttribute("aria-pressed", String(!chosen));
  each.forEach((chip, i) => chip.setAttribute("aria-pressed", String(Boolean(chosen && chosen.has(scenarios[i].name)))));
}

// ---- cards ----------------------------------------------------------------------------------------------------------

function makeCard(name, colour) {
  const label = shownName(name);
  const latency = [
    { name: "p99", colour: "p99", value: inPart(name, "p99_ms", null) },
    { name: "p50", colour: "p50", value: inPart(name, "p50_ms", null) },
  ];
  const rates = [{ name: "Requests", colour: "rate", value: inPart(name, "requests_per_s", 0) }];
  const lines = (row) => [
    ["Requests", rate(inPart(name, "requests_per_s", 0)(row))], ["p50", ms(inPart(name, "p50_ms", null)(row))], ["p99", ms(inPart(name, "p99_ms", null)(row))],
    ["Runs", count(inPart(name, "runs", 0)(row))], ["Failed runs", count(inPart(name, "failures", 0)(row))],
  ];
  const pointed = (chart, row, place, byKeys) => tip(row, place, byKeys, label, lines);
  const span = (...times) => zoomed(...times);
  const status = el("span");
  const charts = [
    new Chart({ label: `${label}: requests/s`, height: 92, kind: "area", show: rate, pointed, zoomed: span }),
    new Chart({ label: `${label}: latency, ms`, height: 112, log: true, show: ms, pointed, zoomed: span }),
  ];
  const root = el("article", { class: "card", "data-scenario": name }, el("header", {}, el("h3", {}, swatch(colour), label), status),
    ...["requests/s", "latency, ms"].flatMap((title, i) => [el("span", { class: "soft small unit" }, title), charts[i].root]));
  cards.set(name, { root, status, charts, rates, latency });
  return cards.get(name);
}

function showCard(scenario, colour, rows, from, to, bands) {
  const { root, status, charts, rates, latency } = cards.get(scenario.name) || makeCard(scenario.name, colour);
  root.className = `card${scenario.at_fault ? " at-fault" : ""}`;
  status.replaceChildren(badge(scenario.status, scenario.at_fault));
  const failed = (row) => inPart(scenario.name, "failures", 0)(row) > 0;
  charts[0].update(rates, rows, from, to, { failed });
  charts[1].update(latency, rows, from, to, { bands, failed });
  return root;
}

/** The findings' times as stretches that neither overlap nor follow each other within `gap` seconds. */
function joined(findings, gap) {
  const bands = [];
  for (const { start_s: start, end_s: end } of [...findings].sort((a, b) => a.start_s - b.start_s)) {
    const last = bands.at(-1);
    if (last && start <= last.end + gap) last.end = Math.max(last.end, end);
    else bands.push({ start, end });
  }
  return bands;
}

// ---- what the pointer or the keys read ------------------------------------------------------------------------------

/** Show these values beside `place`, or nothing without a row. Read aloud only where keys move the cursor. */
export function tip(row, place, byKeys, title, lines) {
  const box = byId("tip");
  box.hidden = !row;
  if (!row) return;
  box.setAttribute("aria-live", byKeys ? "polite" : "off");
  box.replaceChildren(
    el("b", {}, title), el("div", { class: "soft" }, `${hms(row.start)} to ${hms(row.end)}`),
    el("table", {}, el("tbody", {}, ...lines(row).map(([name, value]) => el("tr", {}, el("td", {}, name), el("td", { class: "n" }, value))))));
  box.style.left = `${Math.max(4, Math.min(place.clientX + 14, innerWidth - box.offsetWidth - 8))}px`;
  box.style.top = `${Math.max(8, Math.min(place.clientY + 14, innerHeight - box.offsetHeight - 8))}px`;
}
