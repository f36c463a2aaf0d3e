// The page: shows what is known of a run, from the live page's answers or from a report with everything in it.

import { answers } from "./alerts.js";
import { showCapacity } from "./capacity.js";
import { repaint } from "./chart.js";
import { showClient } from "./client.js";
import { Failures } from "./failures.js";
import { badge, byId, cell, count, el, hms, percent, short, size, table } from "./format.js";
import { History } from "./history.js";
import { ScenarioTable } from "./scenarios.js";
import { forgetServer, showServer } from "./server.js";
import { followTheme } from "./theme.js";
import { forgetCharts, showCharts } from "./time.js";

const history = new History();
const failures = new Failures(byId("failures"));
const scenarios = new ScenarioTable();
let latest = null;
let zoom = null; // {from, to} in seconds of the run, where a person chose a stretch of it

/** From when on, in seconds of the run, points are wanted. */
export const sinceS = () => history.sinceS;

/** Another run begins. */
export function forget() {
  history.forget();
  failures.forget();
  forgetCharts();
  forgetServer();
  zoomTo(null);
}

/** Take in what is new, and show all that is known. */
export function show(answer) {
  latest = answer;
  history.add(answer.points, answer.duration_s);
  if (answer.failures) failures.add(answer.failures);
  draw();
}

function draw() {
  const live = "locust" in latest;
  const now = latest.duration_s;
  const last = history.shown(now - 60, now, now, !live || latest.state !== "running").at(-1); // so few are not merged
  showVerdict(live);
  showTiles(latest.totals, live && last);
  scenarios.draw(latest.scenarios);
  showThresholds(latest.verdict.thresholds);
  showCapacity(latest.capacity);
  showPoints(live);
  showFailuresNote(latest);
  showExceptions(Object.entries(latest.exceptions));
  showRows(latest.rows || []);
  showClient(latest);
  showFacts(latest, live);
}

/** The charts, in the range that was chosen. */
function showPoints(live) {
  const now = latest.duration_s;
  const range = Number(byId("range").value) || 0;
  const { from, to } = zoom || { from: range ? Math.max(0, now - range) : 0, to: now };
  const rows = history.shown(from, to, now, !live || latest.state !== "running");
  showCharts(latest, rows, from, to, zoomTo);
  showServer(latest.server_side, from, to, zoomTo);
}

// ---- the verdict ----------------------------------------------------------------------------------------------------

function list(node, texts) {
  node.replaceChildren(...texts.map((text) => el("li", {}, text)));
}

function showVerdict(live) {
  const { verdict, state, duration_s: now, started, as_of: until } = latest;
  byId("alerts").replaceChildren(answers(verdict));
  const box = byId("verdict");
  box.className = `card note ${verdict.passed ? "good" : "bad"}`;
  const headline = latest.headline || verdict.headline;
  if (box.firstChild.textContent !== headline) box.firstChild.textContent = headline;
  list(box.lastChild, verdict.reasons);
  byId("warnings").hidden = !verdict.warnings.length;
  list(byId("warnings").lastChild, verdict.warnings);
  byId("trends").hidden = !latest.trends.length;
  list(byId("trends").lastChild, latest.trends);
  byId("state").replaceChildren(badge(state));
  byId("clock").textContent = live ? `${hms(now)} · ${count(latest.locust.users)} users` : `${started} to ${until} · ${hms(now)}`;
}

function showTiles(totals, now) {
  const latency = totals.latency_ms;
  const tiles = [
    ["requests", "Request count", count(totals.requests)], ["runs", "Test count", count(totals.runs)],
    ["failed", "Failed runs", count(totals.failed), totals.failed], ["checked", "Answers checked", count(totals.answers_checked)],
    ["rate", "Requests/s", short(totals.requests_per_s)],
    ["p50", "Latency p50 ms", short(latency.p50)], ["p99", "Latency p99 ms", short(latency.p99)],
    ["deadlines", "Deadlines", count(totals.expected_deadlines)],
    ["late", "Late deadlines", count(totals.unexpected_deadlines), totals.unexpected_deadlines],
    ["wrong", "Wrong answers", count(totals.sequence_failures), totals.sequence_failures],
  ];
  if (latest.arrivals) {
    const { missed, within_1ms: share, delay_ms: delay } = latest.arrivals;
    tiles.push(["missed", "Missed arrivals", count(missed), missed], ["prompt", "Issued within 1 ms, %", share === null ? "-" : short(100 * share)],
      ["delay", "Largest delay ms", short(delay.max)]);
  }
  if (now) {
    const rate = Object.values(now.scenarios).reduce((total, part) => total + part.requests_per_s, 0);
    tiles.splice(4, 0, ["now", "Requests/s now", short(rate)]);
    if (latest.state === "running" && now.open !== null) tiles.push(["open", "Open sequences", count(now.open)]);
  }
  byId("tiles").replaceChildren(...tiles.map(([key, name, value, bad]) =>
    el("div", { class: `card${bad ? " failing" : ""}`, "data-tile": key }, el("b", {}, value), el("span", { class: "small" }, name))));
}

function showThresholds(checks) {
  byId("thresholds").hidden = !checks.length;
  byId("thresholds").lastChild.replaceChildren(
    table(["Limit", "Value", "Result"], checks.map((check) => [check.text, cell(check.shown), badge(check.result, check.passed === false)]), [1]));
}

function showFailuresNote({ failures_seen: seen }) {
  byId("failures-note").textContent = !seen ? "None." : seen > failures.size ? `${count(seen)} so far; each scenario's first and the newest that were kept are here.` : "";
}

function showExceptions(exceptions) {
  byId("exceptions").hidden = !exceptions.length;
  byId("exceptions").replaceChildren(table(["Exceptions of users' code", "Times"], exceptions.map(([text, times]) => [text, cell(count(times), true)]), [1]));
}

// ---- what only a whole report has -----------------------------------------------------------------------------------

/** What only some rows have: [head, value, how it is shown]. */
const MEASURED = [
  ["Goodput", (row) => row.goodput ?? undefined, percent],
  ["First response p50 ms", (row) => row.measures.first_response_ms?.p50], ["First response p99 ms", (row) => row.measures.first_response_ms?.p99],
  ["Inter-response p50 ms", (row) => row.measures.inter_response_ms?.p50], ["Inter-response p99 ms", (row) => row.measures.inter_response_ms?.p99],
  ["Responses", (row) => row.measures.responses?.mean], ["Service p50 ms", (row) => row.measures.service_ms?.p50], ["Service p99 ms", (row) => row.measures.service_ms?.p99],
  ["Issue delay p99 ms", (row) => row.measures.issue_delay_ms?.p99],
];

function showRows(rows) {
  byId("requests").hidden = !rows.length;
  const measured = MEASURED.filter(([, value]) => rows.some((row) => value(row) !== undefined));
  const heads = ["Scenario", "Model or RPC", "RPCs", "Errors", "p50 ms", "p95 ms", "p99 ms", "max ms", "Queue time p99 ms", ...measured.map(([head]) => head), "Sent", "Received"];
  byId("requests").lastChild.replaceChildren(table(heads, rows.map((row) => [
    row.scenario || "(none)",
    el("td", {}, el("code", {}, row.model), ...Object.entries(row.errors).map(([text, times]) => el("div", { class: "small bad" }, `${count(times)} × ${text}`))),
    cell(count(row.requests)), cell(count(row.failed), row.failed > 0),
    ...["p50", "p95", "p99", "max"].map((q) => cell(short(row.latency_ms[q]))), cell(short(row.queue_time_ms.p99)),
    ...measured.map(([, value, show]) => cell((show || short)(value(row)))),
    cell(size(row.bytes_sent)), cell(size(row.bytes_received)),
  ]), heads.map((_, i) => i).slice(2)));
}

function said(value) {
  if (Array.isArray(value)) return value.map(said).join(", ") || "-";
  if (value && typeof value === "object") return Object.entries(value).map(([name, one]) => `${name}=${said(one)}`).join(", ") || "-";
  return value === null || value === "" ? "-" : String(value);
}

function showFacts({ server, client, settings, seed, started, reproduce }, live) {
  const files = ["report.html", "report.json", "report.txt", "junit.xml"];
  byId("facts").replaceChildren(...[
    live ? el("p", {}, "Report: ", ...files.flatMap((name, i) => [i ? " · " : "", el("a", { href: `report/${name}` }, name)])) : null,
    el("p", {}, `${["Server", server.name, server.version, server.address && `at ${server.address}`].filter(Boolean).join(" ")}. Started ${started}. Seed ${seed}.`),
    reproduce ? el("p", {}, "The same plan again: ", el("code", {}, reproduce)) : null,
  ].filter(Boolean));
  byId("environment").hidden = !client;
  if (!client) return;
  const about = { ...client.versions, "operating system": client.os, CPUs: client.cpus };
  byId("environment").lastChild.replaceChildren(...[["Server", server], ["Client", about], ["Settings", settings]].filter(([, values]) => Object.keys(values).length).map(([title, values]) =>
    el("div", { class: "card" }, el("h3", {}, title), el("dl", {}, ...Object.entries(values).flatMap(([name, value]) =>
      [el("dt", {}, name.replaceAll("_", " ")), el("dd", {}, said(value))])))));
}

// ---- what a person can change ---------------------------------------------------------------------------------------

function zoomTo(from, to) {
  zoom = from === null ? null : { from, to };
  const option = byId("range").querySelector("[value=zoom]");
  option.hidden = !zoom;
  option.textContent = zoom ? `${hms(from)} to ${hms(to)}` : "";
  if (zoom) byId("range").value = "zoom";
  else if (byId("range").value === "zoom") byId("range").value = "0";
  if (latest) showPoints("locust" in latest);
}

byId("range").addEventListener("change", () => {
  zoom = null;
  zoomTo(null);
});
document.querySelector(".top").hidden = false;
byId("scenarios").append(scenarios.root);
followTheme(repaint);
