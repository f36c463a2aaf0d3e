// The client itself: what its self-check found, its workers, and their values over time where the page has them.

import { Chart } from "./chart.js";
import { byId, cell, count, el, hms, plain, short, table } from "./format.js";
import { tip } from "./time.js";

const VALUES = { // of a worker's windows
  cpu_percent: "CPU %", cpu_wait_percent: "CPU wait %", event_loop_lag_ms: "Event-loop lag p99 ms", gc_pause_ms: "GC pause ms",
  queue_time_ms: "Queue time p99 ms", rss_mib: "Memory MiB",
};
const MOST_COLUMNS = 240; // of a chart
const ofWindows = new Map(); // value -> its chart

export function showClient(answer) {
  const { workers, findings, findings_left_out: more, limits } = answer;
  byId("findings").replaceChildren(findings.length
    ? el("div", { class: "card note warn" }, el("h3", {}, "Client-limited: at these times the client was the bottleneck"),
        el("ul", {}, ...findings.map(({ text }) => el("li", {}, text))),
        more ? el("p", { class: "soft" }, `${count(more)} more were found.`) : null)
    : el("p", { class: "soft" }, "At no time was the client the bottleneck."), ...reconnects(answer.totals));
  const heads = ["Worker", "State", "Last heard of", "Runs", "Requests", "Event-loop lag of the run, p99 ms",
    ...Object.entries(VALUES).map(([name, title]) => (limits[name] ? `${title}, limit ${plain(limits[name])}` : title))];
  byId("workers").replaceChildren(table(heads, workers.map((one) => [
    one.worker, el("td", { class: ["lost", "silent"].includes(one.state) ? "failing" : "" }, one.state),
    cell(hms(one.last_seen_s)), cell(count(one.runs)), cell(count(one.requests)), withWorst(one.event_loop_lag_ms.p99, one.event_loop_lag_ms.max),
    ...Object.keys(VALUES).map((name) => valueOfWorker(one, name, limits[name])),
  ]), [2, 3, 4, 5, 6, 7, 8, 9, 10, 11]));
  if (workers.some(({ windows }) => windows?.start_s.length)) showWindows(answer);
}

function reconnects({ reconnects: times, reconnects_by_reason: reasons }) {
  if (!times) return [];
  const why = Object.entries(reasons).map(([reason, one]) => el("li", {}, `${count(one)} after: ${reason}`));
  return [el("div", { class: "card note warn" }, el("h3", {}, `Reconnects: ${count(times)}`), el("ul", {}, ...why))];
}

/** The newest value and the worst there was. */
function valueOfWorker({ window, worst }, name, limit) {
  if (!window) return cell("-");
  return withWorst(window[name], worst[name], limit > 0 && worst[name] > limit);
}

const withWorst = (value, worst, over = false) =>
  el("td", { class: "n" }, short(value), el("div", { class: over ? "small failing" : "small soft" }, `max ${short(worst)}`));

function showWindows({ workers, limits, duration_s: to }) {
  for (const [name, title] of Object.entries(VALUES)) {
    const rows = sampled(workers, name, to);
    const series = workers.map(({ worker }, i) => ({ name: worker, colour: `c${i % 10}`, value: ({ values }) => values[i] }));
    if (!ofWindows.has(name)) {
      const lines = (row) => workers.map(({ worker }, i) => [worker, short(row.values[i])]);
      const pointed = (_, row, place, byKeys) => tip(row, place, byKeys, title, lines);
      ofWindows.set(name, new Chart({ label: `${title} of each worker`, height: 120, pointed, zoomed: () => {} }));
      byId("client").append(el("figure", { class: "card" }, el("figcaption", {}, el("b", {}, title)), ofWindows.get(name).root));
    }
    ofWindows.get(name).update(series, rows, 0, to, { limit: limits[name] || 0 });
  }
}

/** Each worker's windows on one grid of time, the worst of those that meet a cell: their own do not begin together. */
function sampled(workers, name, to) {
  const most = Math.max(...workers.map(({ windows }) => windows.start_s.length));
  const cells = Math.max(1, Math.min(most, MOST_COLUMNS));
  const rows = Array.from({ length: cells }, (_, i) => ({ start: (i * to) / cells, end: ((i + 1) * to) / cells, values: workers.map(() => null) }));
  workers.forEach(({ windows }, worker) => {
    (windows[name] || []).forEach((value, i) => {
      const last = Math.min(cells - 1, Math.ceil((windows.end_s[i] / to) * cells) - 1);
      for (let at = Math.floor((windows.start_s[i] / to) * cells); at <= last; at += 1) {
        const { values } = rows[at];
        values[worker] = Math.max(values[worker] ?? 0, value);
      }
    });
  });
  return rows;
}
