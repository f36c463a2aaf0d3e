// The live page: asks Locust every two seconds what is new of the run, and shows it.

import { Chart } from "./charts.js";
import { badge, count, dark, duration, el, fourDigits, headline, hms, kind, notes, poll, short, tick } from "./common.js";
import { Failures } from "./failures.js";
import { History } from "./history.js";

const byId = (id) => document.getElementById(id);
const plain = tick(short);
const rate = (value) => `${short(value)}/s`;
const history = new History();
const failures = new Failures(byId("failures"));
const cards = new Map(); // scenario -> its card
let known = { run: "", failures: -1 };
let latest = null;

// ---- overview -------------------------------------------------------------------------------------------------------

const overview = [
  { title: "Throughput", hint: "requests that were answered, per second", show: rate,
    series: [{ name: "Requests", key: "rate", kind: "area", colour: "rate" }] },
  { title: "Users and open sequences", hint: "highest value in each stretch", show: short,
    series: [{ name: "Users", key: "users", kind: "steps", colour: "users" }, { name: "Open sequences", key: "open", kind: "steps", colour: "open" }] },
  { title: "Expected deadlines", hint: "per minute, fired where they must", show: short,
    series: [{ name: "Expected deadlines", key: "deadlines", kind: "bars", colour: "deadline" }] },
  { title: "Failed runs", hint: "per minute, all scenarios", show: short,
    series: [{ name: "Failed runs", key: "failed", kind: "bars", colour: "bad" }] },
];
for (const one of overview) {
  one.chart = new Chart(one.series, { label: one.title, show: one.show, point: (row, event) => pointed(row, event, one.title, one.series, one.show) });
  const legend = one.series.length > 1 ? one.series.map(({ name, colour }) => [el("i", { class: colour }), name]).flat() : [one.hint];
  byId("overview").append(el("figure", { class: "card" }, el("figcaption", {}, el("b", {}, one.title), el("span", { class: "soft small legend" }, ...legend)), one.chart.root));
}

function overall(point) {
  const parts = Object.values(point.scenarios);
  const sum = (key) => parts.reduce((total, part) => total + (part[key] || 0), 0);
  const minutes = (point.end - point.start) / 60;
  return {
    start: point.start, end: point.end, users: point.users, open: point.open, scenarios: point.scenarios,
    rate: sum("requests_per_s"), deadlines: sum("expected_deadlines") / minutes, failed: sum("failures") / minutes,
    counted: { deadlines: sum("expected_deadlines"), failed: sum("failures") },
  };
}

// ---- cards ----------------------------------------------------------------------------------------------------------

const RATE = [{ name: "Requests", key: "requests_per_s", kind: "area", colour: "rate" }, { name: "Failed runs", key: "failures", kind: "ticks", colour: "bad" }];
const LATENCY = [{ name: "p50", key: "p50_ms", kind: "line", colour: "p50" }, { name: "p99", key: "p99_ms", kind: "line", colour: "p99" }];

function card(name) {
  const parts = {
    head: el("h3", {}, name || "(none)"),
    status: el("span"),
    about: el("p", { class: "soft small" }),
    numbers: el("dl", { class: "numbers" }),
    notes: el("ul", { class: "small" }),
    rate: new Chart(RATE, { label: `${name}: throughput`, height: 92, show: rate, point: (row, event) => pointed(row, event, name, RATE, rate) }),
    latency: new Chart(LATENCY, { label: `${name}: latency`, height: 104, log: true, show: duration, point: (row, event) => pointed(row, event, name, LATENCY, duration) }),
  };
  parts.plots = el("div", {}, parts.rate.root, parts.latency.root);
  parts.root = el("article", { class: "card", "data-scenario": name }, el("header", {}, parts.head, parts.status), parts.about, parts.numbers, parts.plots, parts.notes);
  cards.set(name, parts);
  return parts;
}

function showCard(scenario, rows, from, to, bands) {
  const parts = cards.get(scenario.name) || card(scenario.name);
  const mine = rows.map((row) => ({ requests_per_s: 0, p50_ms: null, p99_ms: null, failures: 0, ...row.scenarios[scenario.name], start: row.start, end: row.end }));
  const last = mine.at(-1);
  parts.root.className = `card ${kind(scenario)}`;
  parts.status.replaceChildren(badge(scenario.status, scenario.at_fault));
  parts.about.textContent = scenario.description;
  const numbers = [
    ["req/s now", last ? short(last.requests_per_s) : "–"],
    ["p50", duration(scenario.latency_ms.p50)],
    ["p99", duration(scenario.latency_ms.p99)],
    ["runs", count(scenario.runs)],
    ["failed", count(scenario.failed), scenario.failed > 0],
    ["skipped", count(scenario.skipped)],
    ["requests", count(scenario.requests)],
    ...(scenario.expected_deadlines || scenario.unexpected_deadlines ? [["deadlines", count(scenario.expected_deadlines)], ["late", count(scenario.unexpected_deadlines), scenario.unexpected_deadlines > 0]] : []),
    ...(scenario.sequence_failures ? [["wrong answers", count(scenario.sequence_failures), true]] : []),
  ];
  parts.numbers.replaceChildren(...numbers.map(([name, value, bad]) => el("div", { class: bad ? "failing" : "" }, el("dt", {}, name), el("dd", {}, value))));
  list(parts.notes, notes(scenario));
  const active = mine.some((row) => row.requests_per_s || row.failures);
  parts.numbers.hidden = !active && !scenario.runs && !scenario.skipped;
  parts.plots.hidden = !active;
  if (active) {
    parts.rate.update(mine, from, to);
    parts.latency.update(mine, from, to, bands);
  }
  return parts.root;
}

// ---- the cursor, the same in all charts -----------------------------------------------------------------------------

function pointed(row, event, title, series, show) {
  const all = [...overview.map(({ chart }) => chart), ...[...cards.values()].flatMap(({ rate: one, latency }) => [one, latency])];
  for (const chart of all) chart.mark(row);
  const tip = byId("tip");
  tip.hidden = !row;
  if (!row) return;
  const lines = series.map(({ name, key }) => [name, row.counted && key in row.counted ? count(row.counted[key]) : key === "failures" ? count(row[key]) : show(row[key] ?? null)]);
  if (title === "Throughput") {
    const parts = Object.entries(row.scenarios).filter(([, part]) => part.requests_per_s).sort(([, a], [, b]) => b.requests_per_s - a.requests_per_s);
    lines.push(...parts.map(([name, part]) => [name || "(none)", rate(part.requests_per_s)]));
  }
  tip.replaceChildren(
    el("b", {}, title), el("div", { class: "soft" }, `${hms(row.start)} to ${hms(row.end)}`),
    el("table", {}, el("tbody", {}, ...lines.map(([name, value]) => el("tr", {}, el("td", {}, name), el("td", { class: "n" }, value))))),
  );
  const { clientX, clientY } = event;
  tip.style.left = `${Math.min(clientX + 14, innerWidth - tip.offsetWidth - 8)}px`;
  tip.style.top = `${Math.max(8, Math.min(clientY + 14, innerHeight - tip.offsetHeight - 8))}px`;
}

// ---- the rest of the page -------------------------------------------------------------------------------------------

function list(node, texts) {
  node.replaceChildren(...texts.map(([text, colour]) => el("li", { class: colour }, text)));
}

function showVerdict({ verdict, state }) {
  const box = byId("verdict");
  box.className = `card note ${verdict.passed ? "good" : "bad"}`;
  const head = headline({ verdict, state });
  if (box.firstChild.textContent !== head) box.firstChild.textContent = head;
  list(box.lastChild, [...verdict.reasons.map((text) => [text, ""]), ...verdict.warnings.map((text) => [text, "warn"])]);
  byId("thresholds").hidden = !verdict.thresholds.length;
  const rows = verdict.thresholds.map((one) =>
    el("tr", {}, el("th", { scope: "row" }, one.text), el("td", { class: "n" }, one.value === null ? "no data" : fourDigits(one.value)),
      el("td", {}, badge(one.passed === null ? "not yet" : one.passed ? "passed" : "failed"))));
  byId("thresholds").lastChild.replaceChildren(table(["Limit", "Value", "Result"], rows, [1]));
}

function table(heads, rows, right) {
  const head = heads.map((title, i) => el("th", { scope: "col", class: right.includes(i) ? "n" : "" }, title));
  return el("table", {}, el("thead", {}, el("tr", {}, ...head)), el("tbody", {}, ...rows));
}

function showTiles({ totals }, rows) {
  const now = rows.at(-1);
  const tiles = [
    ["requests/s now", now ? short(now.rate) : "–"], ["requests", count(totals.requests)], ["runs", count(totals.runs)],
    ["failed runs", count(totals.failed), totals.failed], ["p50", duration(totals.latency_ms.p50)], ["p99", duration(totals.latency_ms.p99)],
    ["deadlines met", count(totals.expected_deadlines)], ["late deadlines", count(totals.unexpected_deadlines), totals.unexpected_deadlines],
    ["wrong answers", count(totals.sequence_failures), totals.sequence_failures],
    ["open sequences", latest.state === "running" && now && now.open !== null ? count(now.open) : "–"],
  ];
  byId("tiles").replaceChildren(...tiles.map(([name, value, bad]) =>
    el("div", { class: `card${bad ? " failing" : ""}`, "data-tile": name }, el("b", {}, value), el("span", { class: "small" }, name))));
}

const CAUSES = { event_loop_lag_ms: "event-loop lag (p99)", cpu_percent: "CPU", gc_pause_ms: "garbage collection pause", queue_time_ms: "queue time (p99)" };

function showClient({ workers, findings, findings_left_out: more }) {
  const told = findings.map((one) =>
    el("li", {}, `${hms(one.start_s)} to ${hms(one.end_s)}, worker ${one.worker}: ${CAUSES[one.what] || one.what} ${plain(one.worst)}, limit ${plain(one.limit)}`));
  byId("findings").replaceChildren(told.length
    ? el("div", { class: "card note warn" }, el("h3", {}, "Client-limited: at these times the client was too slow"), el("ul", {}, ...told),
        more ? el("p", { class: "soft" }, `${count(more)} more are in the report.`) : null)
    : el("p", { class: "soft" }, "It was fast enough at all times: its latencies can be trusted."));
  const rows = workers.map(({ worker, state, last_seen_s: seen, runs, requests, window }) =>
    el("tr", {}, el("th", { scope: "row" }, worker), el("td", { class: ["lost", "silent"].includes(state) ? "failing" : "" }, state), el("td", { class: "n" }, hms(seen)),
      el("td", { class: "n" }, count(runs)), el("td", { class: "n" }, count(requests)),
      ...["event_loop_lag_ms", "cpu_percent", "cpu_wait_percent", "gc_pause_ms", "queue_time_ms", "rss_mib"].map((name) => el("td", { class: "n" }, window ? short(window[name]) : "–"))));
  byId("workers").replaceChildren(table(["Worker", "State", "Last heard of", "Runs", "Requests", "event-loop lag ms", "CPU %", "CPU wait %", "GC pause ms", "Queue time ms", "Memory MiB"], rows, [2, 3, 4, 5, 6, 7, 8, 9, 10]));
}

function showFailures({ failures: newer, failures_seen: seen }) {
  if (newer) failures.add(newer);
  byId("failures-note").textContent = !seen ? "None." : seen > failures.size ? `${count(seen)} so far; each scenario's first and the newest that were kept are here.` : "";
}

function showFacts({ server, seed, started, reproduce }) {
  const files = ["html", "json", "txt"].map((kind) => `report.${kind}`).concat("junit.xml");
  byId("facts").replaceChildren(
    el("p", {}, "Report: ", ...files.flatMap((name, i) => [i ? " · " : "", el("a", { href: `report/${name}` }, name)])),
    el("p", {}, `Server ${server.name} ${server.version} at ${server.address}. Started ${started}. Seed ${seed}. The same plan again: `, el("code", {}, reproduce)),
  );
}

/** The findings' times as stretches that do not overlap. */
function joined(findings) {
  const bands = [];
  for (const { start_s: start, end_s: end } of [...findings].sort((a, b) => a.start_s - b.start_s)) {
    const last = bands.at(-1);
    if (last && start <= last.end) last.end = Math.max(last.end, end);
    else bands.push({ start, end });
  }
  return bands;
}

function show() {
  const ended = latest.state !== "running";
  const now = latest.duration_s;
  const range = Number(byId("range").value);
  const from = range ? Math.max(0, now - range) : 0;
  const points = history.shown(from, now, ended);
  const rows = points.map(overall);
  const bands = joined(latest.findings);
  byId("state").textContent = latest.state;
  byId("clock").textContent = `${hms(now)} · ${count(latest.locust.users)} users`;
  showVerdict(latest);
  showTiles(latest, rows);
  for (const { chart } of overview) chart.update(rows, from, now);
  const shown = latest.scenarios.map((scenario) => showCard(scenario, points, from, now, bands));
  const home = byId("cards");
  if (shown.length !== home.children.length || shown.some((node, i) => home.children[i] !== node)) home.replaceChildren(...shown);
  showClient(latest);
  showFacts(latest);
}

function take(answer) {
  byId("trouble").hidden = true;
  byId("empty").hidden = Boolean(answer.run);
  byId("run").hidden = !answer.run;
  if (!answer.run) {
    byId("state").textContent = answer.locust.state;
    return;
  }
  if (answer.run !== known.run) {
    history.forget();
    failures.forget();
    known = { run: answer.run, failures: -1 };
  }
  latest = answer;
  history.add(answer.points, answer.duration_s);
  showFailures(answer);
  known.failures = answer.failures_seen;
  show();
}

function fail(text) {
  byId("trouble").textContent = text;
  byId("trouble").hidden = false;
}

function theme() {
  document.documentElement.dataset.theme = dark() ? "dark" : "light";
  byId("theme").textContent = dark() ? "Light" : "Dark";
  byId("theme").setAttribute("aria-label", `Switch to the ${dark() ? "light" : "dark"} colours`);
}

byId("theme").addEventListener("click", () => {
  localStorage.theme = dark() ? "light" : "dark"; // where Locust keeps it too
  theme();
});
byId("range").addEventListener("change", () => latest && show());
window.addEventListener("storage", theme);
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", theme);
theme();
poll(() => `live.json?${new URLSearchParams({ run: known.run, since: history.sinceS, failures: known.failures })}`, take, fail);
