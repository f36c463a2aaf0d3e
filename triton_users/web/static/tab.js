// The Scenarios tab in Locust's own page: a table of ours in the tab's empty panel. Locust's own table would stop with
// the test, before the last counts are in.

import { badge, count, dark, duration, el, headline, kind, notes, poll, short } from "./common.js";

const TITLE = "Scenarios";
const MOST = { reasons: 8, warnings: 4 }; // shown; the live page has all
const COLUMNS = [
  { key: "name", title: "Scenario", text: true, value: (s) => s.name },
  { key: "status", title: "Status", text: true, value: (s) => s.status },
  { key: "runs", title: "Runs", hint: "Runs that ended, passed or failed" },
  { key: "failed", title: "Failed", hint: "Runs that failed", bad: true },
  { key: "skipped", title: "Skipped", hint: "Runs that a constraint forbade" },
  { key: "requests", title: "Requests", hint: "Inference requests that runs sent" },
  { key: "requests_per_s", title: "Requests/s", hint: "Mean over the whole run", show: short },
  { key: "p50", title: "p50", hint: "Median latency of a request", value: (s) => s.latency_ms.p50, show: duration },
  { key: "p99", title: "p99", hint: "99th percentile of the latency", value: (s) => s.latency_ms.p99, show: duration },
  { key: "expected_deadlines", title: "Deadlines", hint: "Deadlines that fired where they must" },
  { key: "unexpected_deadlines", title: "Late", hint: "Deadlines that fired late or anywhere else", bad: true },
  { key: "sequence_failures", title: "Wrong", hint: "Answers that were not what the sequence's model says", bad: true },
  { key: "notes", title: "Notes", text: true, value: (s) => notes(s).map(([text]) => text).join("; ") },
];
const valueOf = (column, scenario) => (column.value ? column.value(scenario) : scenario[column.key]);

let sort = null; // {key, down}; null: the order of the report
let shown = null; // the section, while the tab is open
let stop = null;
let latest = null;

function cell(column, scenario) {
  if (column.key === "name") {
    const description = el("span", { class: "soft small" }, scenario.description);
    return el("th", { scope: "row" }, el("b", {}, scenario.name || "(none)"), description);
  }
  if (column.key === "status") return el("td", {}, badge(scenario.status, scenario.at_fault));
  if (column.key === "notes") return el("td", { class: "notes" }, ...notes(scenario).map(([text, colour]) => el("div", { class: colour }, text)));
  const value = valueOf(column, scenario);
  return el("td", { class: `n${column.bad && value > 0 ? " failing" : ""}`, "data-key": column.key }, (column.show || count)(value));
}

function ordered(scenarios) {
  if (!sort) return scenarios;
  const column = COLUMNS.find(({ key }) => key === sort.key);
  const nothing = (value) => value === null || value === undefined;
  return [...scenarios].sort((one, other) => {
    const [a, b] = [valueOf(column, one), valueOf(column, other)];
    if (nothing(a) || nothing(b)) return nothing(a) - nothing(b);
    return (column.text ? String(a).localeCompare(String(b)) : a - b) * (sort.down ? -1 : 1);
  });
}

function heading(column) {
  const next = () => {
    const first = !column.text; // numbers: the largest first
    if (!sort || sort.key !== column.key) sort = { key: column.key, down: first };
    else sort = sort.down === first ? { key: column.key, down: !first } : null;
    draw();
  };
  const button = el("button", { type: "button", title: column.hint, onclick: next }, column.title);
  return el("th", { scope: "col", class: column.text ? "" : "n", "data-key": column.key }, button);
}

function build() {
  const table = el("table", {}, el("thead", {}, el("tr", {}, ...COLUMNS.map(heading))), el("tbody"));
  return el(
    "section",
    { class: "triton tab", "aria-label": "Scenarios" },
    el("div", { class: "line" }, el("p", { class: "state", "aria-live": "polite" }), el("a", { class: "button", href: "./triton/" }, "Live charts and failures →")),
    el("p", { class: "trouble", hidden: true, role: "status" }),
    el("ul", { class: "told" }),
    el("div", { class: "scroll", tabindex: 0, role: "group", "aria-label": "Table of scenarios" }, table),
  );
}

/** Why it failed, and what a person should know. */
function told(verdict) {
  return [["reasons", "bad"], ["warnings", "warn"]].flatMap(([what, colour]) => {
    const lines = verdict[what].slice(0, MOST[what]).map((text) => el("li", { class: colour }, text));
    const more = verdict[what].length - lines.length;
    return more ? [...lines, el("li", { class: "soft" }, `${count(more)} more ${what} on the live page`)] : lines;
  });
}

function draw() {
  if (!shown) return;
  shown.dataset.theme = dark() ? "dark" : "light";
  if (!latest) return;
  const scenarios = latest.scenarios || [];
  const { verdict } = latest;
  const state = shown.querySelector(".state");
  state.className = `state ${!verdict ? "soft" : verdict.passed ? "good" : "bad"}`;
  state.textContent = headline(latest);
  shown.querySelector(".told").replaceChildren(...(verdict ? told(verdict) : []));
  shown.querySelector("tbody").replaceChildren(
    ...ordered(scenarios).map((scenario) =>
      el("tr", { class: kind(scenario), "data-scenario": scenario.name }, ...COLUMNS.map((column) => cell(column, scenario))),
    ),
  );
  for (const head of shown.querySelectorAll("thead th")) {
    if (sort && head.dataset.key === sort.key) head.setAttribute("aria-sort", sort.down ? "descending" : "ascending");
    else head.removeAttribute("aria-sort");
  }
}

function take(answer) {
  shown.querySelector(".trouble").hidden = true;
  const same = JSON.stringify(answer) === JSON.stringify(latest);
  latest = answer;
  if (!same || !shown.querySelector("tbody tr")) draw();
}

function fail(text) {
  const trouble = shown.querySelector(".trouble");
  trouble.textContent = text;
  trouble.hidden = false;
}

/** Follow Locust's page: our table is there while our tab is the chosen one. */
function follow() {
  const tab = document.querySelector('main [role="tab"][aria-selected="true"]');
  const home = tab && tab.textContent === TITLE ? tab.closest("main > *") : null;
  if (home && !(shown && shown.isConnected)) {
    if (stop) stop();
    shown = build();
    home.append(shown);
    draw();
    stop = poll(() => "./triton/scenarios.json", take, fail);
  } else if (!home && shown) {
    stop();
    shown.remove();
    shown = stop = null;
  } else if (shown && shown.dataset.theme !== (dark() ? "dark" : "light")) {
    draw();
  }
}

document.head.append(el("link", { rel: "stylesheet", href: "./triton/base.css" }));
new MutationObserver(follow).observe(document.body, { subtree: true, childList: true, attributes: true, attributeFilter: ["aria-selected"] });
follow();
