// What the server says of itself: where the time went, the audit, and its series over time.

import { Chart } from "./chart.js";
import { badge, byId, cell, count, el, short, table } from "./format.js";
import { tip } from "./time.js";

const PARTS = [ // of a request's time
  ["network_ms", "network, client", "c9"], ["queue_ms", "queue", "c1"], ["input_ms", "input", "c3"], ["infer_ms", "infer", "c0"], ["output_ms", "output", "c6"],
];
const PART_OF = new Map(PARTS.map(([key, title, colour]) => [key.replace("_ms", ""), { title, colour }]));
const MOST_MODELS = 8; // with a chart of their own; the table has all
const NAMES = { // series -> heading
  requests: "Computed requests/s", executions: "Executions/s", failures: "Failed requests/s", cache_hits: "Cache hits/s", mean_batch: "Mean batch",
  pending: "Pending requests", memory: "Memory", server_memory: "Memory of the server alone", stub_memory: "Memory of Python processes", descriptors: "Descriptors",
  threads: "Threads", cpu: "CPU", processes: "Processes", gpu_utilization: "GPU utilisation", gpu_memory: "GPU memory", gpu_power: "GPU power",
  machine_memory: "Memory of its machine",
};
const plots = new Map(); // heading -> its chart and figure

/** A colour and what it stands for, which stay together when a legend takes several lines. */
function key(name, colour) {
  return el("span", { class: "key" }, el("i", { class: colour }), ` ${name}`);
}

/** Another run begins. */
export function forgetServer() {
  for (const { chart } of plots.values()) chart.destroy();
  plots.clear();
  byId("server-charts").replaceChildren();
}

export function showServer({ models, audit, sources, series }, from, to, zoomed) {
  const known = models.length > 0 || series.t_s.length > 1;
  byId("server").hidden = !known;
  if (!known) return;
  const missing = sources.filter((source) => source.missing);
  byId("server-sources").replaceChildren(...missing.map((source) => el("p", { class: "soft" }, `Missing: ${source.missing}.`)));
  byId("server-time").replaceChildren(timeTable(models));
  byId("server-audit").hidden = !audit.models.length;
  byId("server-audit").replaceChildren(auditTable(audit.models));
  drawSeries(series, from, to, zoomed);
}

/** A mean request of each model: its parts as a bar, all bars to one scale, and as numbers. */
function timeTable(models) {
  const timed = models.filter(({ success }) => success);
  const spans = timed.map((model) => PARTS.reduce((total, [key]) => total + (model[key] || 0), 0));
  const longest = Math.max(...spans, 1e-9);
  const bar = (model, span) => {
    const node = el("div", { class: "bar", role: "img", "aria-label": PARTS.map(([key, title]) => `${title} ${short(model[key])} ms`).join(", ") });
    for (const [key, title, colour] of PARTS) {
      if (!model[key]) continue;
      const part = el("i", { class: colour, title: `${title} ${short(model[key])} ms` });
      part.style.width = `${(100 * model[key]) / longest}%`;
      node.append(part);
    }
    return el("td", { class: "wide" }, span ? node : "");
  };
  const heads = ["Model", el("span", { class: "legend" }, ...PARTS.map(([, title, colour]) => key(title, colour))), "Latency ms",
    ...PARTS.map(([, title]) => `${title} ms`), "Computed", "Failed", "Mean batch"];
  const reasons = (failures) => Object.entries(failures).map(([reason, times]) => el("div", { class: "small soft" }, `${count(times)} × ${reason}`));
  return table(heads, timed.map((model, i) => [
    el("th", { scope: "row" }, model.model, model.steps.length ? el("div", { class: "small soft" }, `ensemble of ${model.steps.join(", ")}`) : null),
    bar(model, spans[i]), cell(short(model.client_ms)), ...PARTS.map(([key]) => cell(short(model[key]))), cell(count(model.success)),
    el("td", { class: model.failed ? "n failing" : "n" }, count(model.failed), ...reasons(model.failures)), cell(short(model.mean_batch)),
  ]), [2, 3, 4, 5, 6, 7, 8, 9, 10]);
}

function auditTable(models) {
  return table(["Audit", "Outcome", "Answered here", "Perhaps", "Computed", ""], models.map((one) => [
    one.model, el("td", {}, badge(one.outcome, one.outcome === "fewer")), cell(count(one.answered + one.called)), cell(count(one.unknown)),
    cell(count(one.computed)), el("td", { class: "small" }, one.outcome === "agrees" ? "" : one.text),
  ]), [2, 3, 4]);
}

function drawSeries({ t_s: times, series }, from, to, zoomed) {
  const rows = times.slice(1).map((end, i) => ({ start: times[i], end, at: i + 1 }));
  const groups = new Map(); // heading -> {kind, unit, lines}
  const models = [...new Set(series.filter(({ name }) => name === "requests").map(({ of }) => of))].slice(0, MOST_MODELS);
  for (const { name, unit, of, values } of series) {
    const part = PART_OF.get(name);
    if (part && !models.includes(of)) continue;
    const heading = part ? `${of}: time in the server, ms` : `${NAMES[name] || name}${unit && !unit.startsWith("1/") ? `, ${unit}` : ""}`;
    if (!groups.has(heading)) groups.set(heading, { kind: part ? "stack" : "line", lines: [] });
    const { lines } = groups.get(heading);
    lines.push({ name: part ? part.title : of || NAMES[name] || name, colour: part ? part.colour : `c${lines.length % 10}`, value: (row) => values[row.at] });
  }
  for (const [heading, { kind, lines }] of groups) {
    if (!plots.has(heading)) plots.set(heading, makePlot(heading, kind, zoomed));
    const plot = plots.get(heading);
    plot.lines = lines;
    plot.legend.replaceChildren(...(lines.length > 1 && lines.length <= 5 ? lines.map(({ name, colour }) => key(name, colour)) : []));
    plot.chart.update(lines, rows, from, to);
  }
}

function makePlot(heading, kind, zoomed) {
  const made = { lines: [], legend: el("span", { class: "soft small legend" }) };
  const values = (row) => made.lines.map(({ name, value }) => [name, short(value(row))]);
  const pointed = (_, row, place, byKeys) => tip(row, place, byKeys, heading, values);
  made.chart = new Chart({ label: heading, height: 120, kind, pointed, zoomed });
  byId("server-charts").append(el("figure", { class: "card", "data-chart": heading }, el("figcaption", {}, el("b", {}, heading), made.legend), made.chart.root));
  return made;
}
