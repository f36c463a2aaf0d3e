// Starts the page where Locust serves it: asks every two seconds what is new of the run.

import { badge, byId } from "./format.js";
import { forget, show, sinceS } from "./page.js";
import { poll } from "./poll.js";

let known = { run: "", failures: -1 };

function take(answer) {
  byId("trouble").hidden = true;
  byId("empty").hidden = Boolean(answer.run);
  byId("run").hidden = !answer.run;
  if (!answer.run) return byId("state").replaceChildren(badge(answer.locust.state));
  if (answer.run !== known.run) forget();
  show(answer);
  showRate(answer);
  known = { run: answer.run, failures: answer.failures_seen };
  return undefined;
}

/** The rate of an open loop can be changed while it runs; what is being typed stays. */
function showRate({ arrivals, locust }) {
  const form = byId("rate");
  form.hidden = !arrivals || !arrivals.rates.at(-1)?.rate || !["running", "spawning"].includes(locust.state);
  const field = form.elements.rate;
  if (!form.hidden && !field.dataset.typed) field.value = arrivals.rates.at(-1).rate;
}

async function changeRate(event) {
  event.preventDefault();
  const field = event.target.elements.rate;
  const said = event.target.querySelector("[role=status]");
  try {
    const response = await fetch("rate", { method: "POST", body: new URLSearchParams({ rate: field.value }), redirect: "manual", signal: AbortSignal.timeout(10000) });
    const { success, message } = await response.json();
    said.textContent = success ? "Changed." : message;
    if (success) delete field.dataset.typed;
  } catch {
    said.textContent = "Locust did not take it.";
  }
}

function fail(text) {
  byId("trouble").textContent = text;
  byId("trouble").hidden = false;
}

byId("rate").addEventListener("submit", changeRate);
byId("rate").elements.rate.addEventListener("input", (event) => { event.target.dataset.typed = "yes"; });
byId("back").hidden = false;
byId("back").href = "../?tab=scenarios";
poll(() => `live.json?${new URLSearchParams({ run: known.run, since: sinceS(), failures: known.failures })}`, take, fail);
