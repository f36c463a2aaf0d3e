// The table of scenarios, in the page and in the tab of Locust's own. A click on a heading sorts.

import { badge, count, el, notes, percent, short } from "./format.js";

const COLUMNS = [
  { key: "name", title: "Scenario", text: true, value: (s) => s.name },
  { key: "status", title: "Status", text: true, value: (s) => s.status },
  { key: "failed", title: "Failures", hint: "Runs that failed", bad: true },
  { key: "runs", title: "Runs", hint: "Test count: runs that ended, failed ones included" },
  { key: "skipped", title: "Skips", hint: "Runs that a constraint forbade" },
  { key: "requests", title: "Requests", hint: "Request count: inference requests that runs sent, failed runs included" },
  { key: "answers_checked", title: "Checked", hint: "Answers of passed runs that were compared with what is right, by this client or by perf_analyzer" },
  { key: "requests_per_s", title: "Requests/s", hint: "Answered requests, mean over the whole run", show: short },
  ...["p50", "p95", "p99"].map((q) => ({ key: q, title: `${q} ms`, hint: "Latency of an answered request", value: (s) => s.latency_ms[q], show: short })),
  ...[["first_response_ms", "First p99 ms", "From a request's sending to its first response, 99th percentile"],
    ["inter_response_ms", "Between p99 ms", "Between two responses to one request, 99th percentile"],
    ["service_ms", "Service p99 ms", "From a request's real sending to its end, 99th percentile; the latency is from the intended one"],
    ["issue_delay_ms", "Issued late p99 ms", "How much later than intended requests were sent, 99th percentile"]].map(([key, title, hint]) =>
    ({ key, title, hint, value: (s) => s.measures[key]?.p99, show: short, optional: true })),
  { key: "goodput", title: "Goodput", hint: "Requests that kept all limits of --goodput, out of all, failed ones included", value: (s) => s.goodput ?? undefined, show: percent, optional: true },
  { key: "responses_per_s", title: "Responses/s", hint: "Responses to answered requests of streams, mean over the whole run", value: (s) => s.responses_per_s ?? undefined, show: short, optional: true },
  { key: "responses", title: "Responses", hint: "Responses to a request, mean", value: (s) => s.measures.responses?.mean, show: short, optional: true },
  { key: "expected_deadlines", title: "Deadlines", hint: "Deadlines that fired where they must" },
  { key: "unexpected_deadlines", title: "Late", hint: "Deadlines that fired late or anywhere else", bad: true },
  { key: "sequence_failures", title: "Wrong", hint: "Answers that were not what the sequence's model says", bad: true },
];
/** Columns of what few runs measure are there where this one did. */
const shownFor = (scenarios) => COLUMNS.filter((column) => !column.optional || scenarios.some((s) => valueOf(column, s) !== undefined));
const valueOf = (column, scenario) => (column.value ? column.value(scenario) : scenario[column.key]);

function cellOf(column, scenario) {
  const value = valueOf(column, scenario);
  if (column.key === "name") return el("th", { scope: "row" }, el("b", {}, value || "(none)"), el("span", { class: "soft small" }, scenario.description));
  if (column.key === "status") return el("td", {}, badge(value, scenario.at_fault));
  return el("td", { class: column.bad && value > 0 ? "n failing" : "n", "data-key": column.key }, (column.show || count)(value));
}

/** Notes have a row of their own, as wide as the table: beside a dozen numbers there is no room for a sentence. */
function notesBelow(scenario, kind, columns) {
  const said = notes(scenario).map(([text, colour]) => el("div", { class: colour }, text));
  return said.length ? [el("tr", { class: `${kind} below`, "data-scenario": scenario.name }, el("td", { class: "notes", colspan: columns }, ...said))] : [];
}

export class ScenarioTable {
  constructor() {
    this.sort = null; // {key, down}; null: the order of the report
    this.scenarios = [];
    this.body = el("tbody");
    this.head = el("tr");
    const table = el("table", {}, el("thead", {}, this.head), this.body);
    this.columns = [];
    this.#show(shownFor([]));
    this.root = el("div", { class: "scenarios scroll", tabindex: 0, role: "group", "aria-label": "Table of scenarios" }, table);
  }

  draw(scenarios) {
    this.scenarios = scenarios;
    this.#show(shownFor(scenarios));
    this.body.replaceChildren(...this.#ordered().map((scenario) => {
      const kind = `${scenario.status.replaceAll(" ", "-")}${scenario.at_fault ? " at-fault" : ""}`;
      return [
        el("tr", { class: kind, "data-scenario": scenario.name }, ...this.columns.map((column) => cellOf(column, scenario))),
        ...notesBelow(scenario, kind, this.columns.length),
      ];
    }).flat());
    for (const head of this.heads) {
      if (this.sort && head.dataset.key === this.sort.key) head.setAttribute("aria-sort", this.sort.down ? "descending" : "ascending");
      else head.removeAttribute("aria-sort");
    }
  }

  /** The headings, made anew only when other columns are shown: a click must not lose its button. */
  #show(columns) {
    if (columns.length === this.columns.length) return;
    this.columns = columns;
    this.heads = columns.map((column) => this.#heading(column));
    this.head.replaceChildren(...this.heads);
  }

  #heading(column) {
    const next = () => {
      const first = !column.text; // numbers: the largest first
      if (!this.sort || this.sort.key !== column.key) this.sort = { key: column.key, down: first };
      else this.sort = this.sort.down === first ? { key: column.key, down: !first } : null;
      this.draw(this.scenarios);
    };
    const button = el("button", { type: "button", title: column.hint, onclick: next }, column.title);
    return el("th", { scope: "col", class: column.text ? "" : "n", "data-key": column.key }, button);
  }

  #ordered() {
    if (!this.sort) return this.scenarios;
    const column = COLUMNS.find(({ key }) => key === this.sort.key);
    const nothing = (value) => value === null || value === undefined;
    return [...this.scenarios].sort((one, other) => {
      const [a, b] = [valueOf(column, one), valueOf(column, other)];
      if (nothing(a) || nothing(b)) return nothing(a) - nothing(b);
      return (column.text ? String(a).localeCompare(String(b)) : a - b) * (this.sort.down ? -1 : 1);
    });
  }
}
