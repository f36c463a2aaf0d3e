// What a search for the highest load that holds found: the curve of latency over load, and its levels in a table.

import { charts, shade } from "./chart.js";
import { badge, byId, cell, count, el, plain, short, table } from "./format.js";

const HOLDS = "held";
const LINES = [["p50", "p50_ms"], ["p99", "p99_ms"]]; // colour and key
const drawing = { plot: null, root: null, levels: "" }; // the curve that is shown, and of which levels it is
let watched = null; // what tells that there is more or less room for it

/** Show what is known of the capacity; nothing where none was searched for. */
export function showCapacity(capacity) {
  byId("capacity").hidden = !capacity;
  if (!capacity) return;
  byId("capacity-found").textContent = `${capacity.limits}: ${capacity.sentence}.`;
  const levels = [...capacity.levels].sort((a, b) => a.load - b.load || a.start_s - b.start_s);
  byId("capacity-levels").replaceChildren(table(
    [`Load, ${capacity.unit}`, "Answered/s", "p50 ms", "p99 ms", "Failed", "Result", "Why"],
    levels.map((level) => [
      cell(plain(level.load)), cell(short(level.requests_per_s)), cell(short(level.p50_ms)), cell(short(level.p99_ms)),
      cell(count(level.failed), level.failed > 0), badge(level.outcome, level.outcome === "failed" || level.outcome === "too high"), level.why,
    ]), [0, 1, 2, 3, 4]));
  showCurve(levels, capacity.unit);
}

function showCurve(levels, unit) {
  const newest = [...new Map(levels.filter((level) => level.p99_ms !== null).map((level) => [level.load, level])).values()];
  const known = JSON.stringify(newest);
  if (known === drawing.levels) return;
  drawing.levels = known;
  drawing.plot?.destroy();
  drawing.plot = null;
  drawing.root = byId("capacity-curve");
  drawing.root.setAttribute("aria-label", `Latency over ${unit}: ${newest.map((level) => `${plain(level.load)}: p99 ${short(level.p99_ms)} ms, ${level.outcome}`).join("; ")}`);
  if (newest.length) drawCurve(newest, unit);
}

function drawCurve(levels, unit) {
  const axis = { font: "11px system-ui, sans-serif", stroke: () => shade("soft"), ticks: { show: false } };
  const grid = { stroke: () => shade("grid"), width: 1 };
  const { root } = drawing;
  drawing.plot = new uPlot({
    width: Math.max(root.clientWidth, 200),
    height: 240,
    legend: { show: false },
    padding: [12, 18, 0, 0],
    cursor: { show: false },
    scales: { x: { time: false, distr: 3, range: () => [0.93 * levels[0].load, 1.07 * levels.at(-1).load] }, y: { distr: 3 } },
    axes: [
      { ...axis, grid: { show: false }, label: unit, labelSize: 16, labelFont: axis.font, size: 22, gap: 4, splits: () => marked(levels), filter: (_, splits) => splits,
        values: (_, splits) => splits.map((value) => (value === null ? "" : plain(value))) },
      { ...axis, grid, size: 46, gap: 6, values: (_, splits) => splits.map((value) => (value === null ? "" : plain(value))) },
    ],
    series: [{}, ...LINES.map(([colour]) => ({ stroke: () => shade(colour), width: 1.6, points: { show: true, size: 6, fill: () => shade(colour) } }))],
    hooks: { draw: [(u) => ring(u, levels)] },
  }, [levels.map(({ load }) => load), ...LINES.map(([, key]) => levels.map((level) => level[key] || null))], root);
  root.plot = drawing.plot; // for who looks with the browser's console, or tests it
  charts.add(drawing);
  watched ||= new ResizeObserver(() => drawing.plot?.setSize({ width: Math.max(root.clientWidth, 200), height: 240 }));
  watched.observe(root);
}

/** The loads that are written under the axis: those that have room for it. */
function marked(levels) {
  return levels.map(({ load }) => load).reduce((kept, load) => (!kept.length || load > 1.12 * kept.at(-1) ? [...kept, load] : kept), []);
}

/** A ring around what did not hold. */
function ring(u, levels) {
  const { ctx } = u;
  ctx.save();
  ctx.strokeStyle = shade("bad");
  ctx.lineWidth = 2 * uPlot.pxRatio;
  for (const level of levels.filter(({ outcome, p99_ms: value }) => outcome !== HOLDS && value > 0)) {
    ctx.beginPath();
    ctx.arc(u.valToPos(level.load, "x", true), u.valToPos(level.p99_ms, "y", true), 7 * uPlot.pxRatio, 0, 2 * Math.PI);
    ctx.stroke();
  }
  ctx.restore();
}
