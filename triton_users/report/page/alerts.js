// What an operator asks of a run, with the answers: at the top of the page and of the tab.

import { badge, el } from "./format.js";

export function answers(verdict) {
  return el("table", { class: "alerts" }, el("tbody", {}, ...verdict.alerts.map(({ question, answer, text }) =>
    el("tr", {}, el("th", { scope: "row" }, question), el("td", {}, badge(answer)), el("td", {}, text)))));
}
