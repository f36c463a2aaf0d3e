// The Scenarios tab in Locust's own page: the page's table in the tab's empty panel. Locust's own table would stop with
// the test, before the last counts are in.

import { answers } from "./alerts.js";
import { count, dark, el } from "./format.js";
import { poll } from "./poll.js";
import { offer } from "./models.js";
import { ScenarioTable } from "./scenarios.js";

const TITLE = "Scenarios";
const MOST = { reasons: 8, warnings: 4 }; // shown; the live page has all

const table = new ScenarioTable();
let shown = null; // the section, while the tab is open
let stop = null;
let latest = null;

function build() {
  return el(
    "section",
    { class: "triton tab", "aria-label": "Scenarios" },
    el("div", { class: "line" }, el("p", { class: "headline", "aria-live": "polite" }), el("a", { class: "button", href: "./triton/" }, "Live charts and failures →")),
    el("p", { class: "trouble", hidden: true, role: "status" }),
    el("div", { class: "answers" }),
    el("ul", { class: "reported" }),
    table.root,
  );
}

/** The reasons and the warnings. */
function reported(verdict) {
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
  const { verdict } = latest;
  const headline = shown.querySelector(".headline");
  headline.className = `headline ${!verdict ? "soft" : verdict.passed ? "good" : "bad"}`;
  headline.textContent = verdict ? verdict.headline : "No test has run yet.";
  shown.querySelector(".answers").replaceChildren(...(verdict ? [answers(verdict)] : []));
  shown.querySelector(".reported").replaceChildren(...(verdict ? reported(verdict) : []));
  table.draw(latest.scenarios || []);
}

function take(answer) {
  shown.querySelector(".trouble").hidden = true;
  const same = JSON.stringify(answer) === JSON.stringify(latest);
  latest = answer;
  if (!same || !table.root.querySelector("tbody tr")) draw();
}

function fail(text) {
  const trouble = shown.querySelector(".trouble");
  trouble.textContent = text;
  trouble.hidden = false;
}

/** Follow Locust's page: our table is there while our tab is the chosen one. */
function follow() {
  offer();
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
