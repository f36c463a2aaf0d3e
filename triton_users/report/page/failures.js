// The list of failures with their evidence, newest first. An entry that is there stays, with what a person opened in it.

import { el, hms } from "./format.js";

const MOST_LISTED = 100; // entries kept in the page, and each scenario's first one

const idOf = (failure) => [failure.scenario, failure.worker, failure.at_s, failure.record].join("/");
const text = (value) => (typeof value === "string" ? value : JSON.stringify(value));

export class Failures {
  constructor(list) {
    this.list = list;
    this.known = new Map();
  }

  forget() {
    this.known.clear();
    this.list.replaceChildren();
  }

  /** Put those that are new in their places; `failures` is newest first. */
  add(failures) {
    const first = !this.known.size;
    for (const failure of failures) {
      const id = idOf(failure);
      if (!this.known.has(id)) this.known.set(id, { failure, node: entry(failure, !first) });
    }
    const sorted = [...this.known.entries()].sort(([, a], [, b]) => b.failure.at_s - a.failure.at_s);
    const old = sorted.filter(([, { failure }], i) => i >= MOST_LISTED && !failure.first); // the first ones tell most
    for (const [id, { node }] of old) {
      node.remove();
      this.known.delete(id);
    }
    const all = sorted.filter(([id]) => this.known.has(id));
    all.forEach(([, { node }], i) => {
      if (this.list.children[i] !== node) this.list.insertBefore(node, this.list.children[i] || null);
    });
  }

  get size() {
    return this.known.size;
  }
}

function entry(failure, isNew) {
  const details = el(
    "details",
    { class: `card failure${isNew ? " new" : ""}` },
    el(
      "summary",
      {},
      el("time", { class: "soft" }, hms(failure.at_s)),
      el("span", { class: "badge bad" }, failure.scenario),
      failure.first ? el("span", { class: "badge" }, "first") : null,
      el("span", { class: "reason" }, failure.reason),
    ),
  );
  details.addEventListener("toggle", () => {
    if (!details.open || details.children.length > 1) return;
    details.append(...evidenceOf(failure));
    const steps = details.querySelector(".steps");
    if (steps) steps.scrollTop = steps.scrollHeight; // the last one is the wrong one
  });
  return details;
}

/** What is known of it: the reason, the single values, the steps that led there, and the record that repeats it. */
function evidenceOf(failure) {
  const { evidence: known, record } = failure;
  const steps = numbered(known.steps);
  const facts = { scenario: failure.scenario, worker: failure.worker };
  for (const [name, value] of Object.entries(known)) if (name !== "steps") facts[name.replaceAll("_", " ")] = value;
  const last = steps.at(-1);
  if (last && text(last.expected) !== text(last.got)) {
    Object.assign(facts, { step: last.number, "value sent": last.sent, expected: last.expected, got: last.got });
  }
  const copy = el("button", { class: "button", type: "button", onclick: () => navigator.clipboard?.writeText(record) }, "Copy");
  return [
    el("p", { class: "whole" }, failure.reason),
    el("dl", {}, ...Object.entries(facts).flatMap(([name, value]) => [el("dt", {}, name), el("dd", { "data-fact": name }, text(value))])),
    steps.length ? stepTable(steps) : null,
    el("details", { class: "record" }, el("summary", {}, "Reproduction record: seed, worker, user, number of the run, plan"), copy, el("pre", {}, record)),
  ].filter(Boolean);
}

/** The steps with their numbers. The middle of a long list may be left out; without its START there are no numbers. */
function numbered(list) {
  const steps = [];
  let number = Array.isArray(list) && String(list[0]?.[0]).includes("START") ? 0 : null;
  for (const step of Array.isArray(list) ? list : []) {
    if (Array.isArray(step)) {
      const [flags, sent, expected, got] = step;
      steps.push({ number: number === null ? "-" : number, flags, sent, expected, got });
      if (number !== null) number += 1;
    } else if (number !== null) {
      number += Number(/(\d+) left out/.exec(step)?.[1] ?? NaN);
    }
  }
  return steps;
}

function stepTable(steps) {
  const columns = ["number", "flags", "sent", "expected", "got"];
  const row = (step) =>
    el("tr", { class: text(step.expected) === text(step.got) ? "" : "bad" }, ...columns.map((name) =>
      el("td", { class: name === "flags" ? "" : "n" }, text(step[name]))));
  const heads = ["Step", "Flags", "Sent", "Expected", "Got"].map((title, i) => el("th", { scope: "col", class: i === 1 ? "" : "n" }, title));
  return el("div", { class: "scroll steps" }, el("table", {}, el("thead", {}, el("tr", {}, ...heads)), el("tbody", {}, ...steps.map(row))));
}
