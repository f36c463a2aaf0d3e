// The page of a comparison: what it came to, and for each measure the pairs of rounds, their ratio and its interval.

import { badge, byId, cell, count, el, short, table } from "./format.js";
import { followTheme } from "./theme.js";

const WIDTH = 360; // of a picture, in pixels
const HEIGHT = 30;
const EDGE = 8; // pixels left free at both sides
const LEAST = Math.log(1.12); // from the middle to an edge of the picture, in logarithms of the ratio
const MOST = Math.log(4); // what is further out stands at the edge
const ANSWERS = { worse: "bad", better: "good", "no difference shown": "soft", "too few rounds to say": "warn" };

function showComparison(outcome) {
  const { headline, how, regressions, notes, exit_code: code } = outcome;
  byId("verdict").className = `card note ${["good", "bad"][code] || "warn"}`;
  byId("verdict").firstChild.textContent = headline;
  byId("verdict").lastChild.replaceChildren(...regressions.map((text) => el("li", {}, text)));
  byId("state").replaceChildren(el("span", { class: `badge ${["good", "bad"][code] || "warn"}` }, ["passed", "failed"][code] || "not shown"));
  byId("clock").textContent = how;
  byId("warnings").hidden = !notes.length;
  byId("warnings").lastChild.replaceChildren(...notes.map((text) => el("li", {}, text)));
  byId("sides").replaceChildren(table(["Side", "What", "Version", "Address"], ["a", "b"].map((side) => [side.toUpperCase(), outcome[side].name, outcome[side].version || "-", outcome[side].address || "-"])));
  byId("measures").replaceChildren(measuresTable(outcome));
  byId("failing").replaceChildren(failuresTable(outcome.scenarios));
  byId("answers").replaceChildren(el("p", {}, outcome.answered), ...outcome.answers.different.map((text) => el("p", { class: "bad" }, text)));
}

function measuresTable({ measures, margin }) {
  const reach = Math.min(MOST, Math.max(LEAST, 1.5 * Math.log(1 + margin), ...measures.flatMap(({ difference: { ratio }, pairs }) =>
    (ratio ? [ratio.low, ratio.high, ...ratios(pairs)] : []).map((value) => Math.abs(Math.log(value))))));
  const axis = ink("of the ratio", 16, ticks(reach).map((value) => mark("text", { x: place(value, reach), y: 12, class: "axis" }, written(value))));
  const heads = ["Measure", "A", "B", "B / A", "Interval", axis, "Answer"];
  return table(heads, measures.map((measure) => {
    const { difference: { answer, ratio, smallest } } = measure;
    const could = answer === "no difference shown" ? el("div", { class: "small soft" }, `could have shown ${short(100 * smallest)} %`) : null;
    return [
      `${measure.name}${measure.unit && `, ${measure.unit}`}`, cell(short(measure.a)), cell(short(measure.b)),
      cell(ratio ? ratio.value.toFixed(3) : "-", answer === "worse"), cell(ratio ? `${ratio.low.toFixed(3)} to ${ratio.high.toFixed(3)}` : "-"),
      el("td", {}, ratio ? picture(measure, margin, reach) : ""),
      el("td", {}, el("span", { class: `badge ${ANSWERS[answer]}` }, answer), could),
    ];
  }), [1, 2, 3, 4]);
}

/** All pairs, the interval and the ratio, on one scale; the margin is shaded. */
function picture({ name, difference: { answer, ratio }, pairs }, margin, reach) {
  const at = (value) => place(value, reach);
  const colour = { worse: "bad", better: "good" }[answer] || "";
  const [from, to] = [at(1 / (1 + margin)), at(1 + margin)];
  return ink(`${name}: B / A ${ratio.value.toFixed(3)}, from ${ratio.low.toFixed(3)} to ${ratio.high.toFixed(3)}, ${pairs.length} pairs`, HEIGHT, [
    mark("rect", { x: from, width: to - from, y: 0, height: HEIGHT, class: "margin" }),
    mark("line", { x1: at(1), x2: at(1), y1: 0, y2: HEIGHT, class: "one" }),
    ...ratios(pairs).map((value, i) => mark("circle", { cx: at(value), cy: 6, r: 2.5, class: "pair" }, null, `pair ${i + 1}: ${short(pairs[i][0])} and ${short(pairs[i][1])}, ${value.toFixed(3)}`)),
    mark("line", { x1: at(ratio.low), x2: at(ratio.high), y1: 19, y2: 19, class: `interval ${colour}` }),
    mark("circle", { cx: at(ratio.value), cy: 19, r: 4.5, class: `middle ${colour}` }),
  ]);
}

const ratios = (pairs) => pairs.map(([a, b]) => b / a);

const place = (value, reach) => WIDTH / 2 + (WIDTH / 2 - EDGE) * Math.max(-1, Math.min(1, Math.log(value) / reach));

/** Ratios that are written above the pictures. */
function ticks(reach) {
  const step = [0.05, 0.1, 0.25, 0.5, 1].find((each) => Math.log(1 + each) >= reach / 2.2) || 1;
  return [1 / (1 + 2 * step), 1 / (1 + step), 1, 1 + step, 1 + 2 * step].filter((value) => Math.abs(Math.log(value)) < reach * 0.95);
}

const written = (value) => (value === 1 ? "equal" : value > 1 ? `+${Math.round(100 * value - 100)} %` : `−${Math.round(100 - 100 * value)} %`);

function failuresTable(scenarios) {
  return table(["Scenario", "Failed on A", "Runs on A", "Failed on B", "Runs on B", "Answer"], scenarios.map(({ name, a, b, worse }) => [
    name || "requests outside of any scenario", cell(count(a.failed), a.failed > 0), cell(count(a.runs)), cell(count(b.failed), b.failed > 0), cell(count(b.runs)),
    el("td", {}, worse ? badge("worse", true) : badge(b.failed || a.failed ? "no difference shown" : "none failed")),
  ]), [1, 2, 3, 4]);
}

function ink(about, height, parts) {
  const svg = mark("svg", { width: WIDTH, height, class: "forest", role: "img", "aria-label": about });
  svg.append(...parts);
  return svg;
}

function mark(tag, attributes, text = null, title = null) {
  const node = document.createElementNS(byId("svg").namespaceURI, tag);
  for (const [name, value] of Object.entries(attributes)) node.setAttribute(name, value);
  if (text !== null) node.append(text);
  if (title !== null) node.append(mark("title", {}, title));
  return node;
}

followTheme(() => {});
document.querySelector(".top").hidden = false;
showComparison(JSON.parse(byId("data").textContent));
