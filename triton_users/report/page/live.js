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
  known = { run: answer.run, failures: answer.failures_seen };
  return undefined;
}

function fail(text) {
  byId("trouble").textContent = text;
  byId("trouble").hidden = false;
}

byId("back").hidden = false;
byId("back").href = "../?tab=scenarios";
poll(() => `live.json?${new URLSearchParams({ run: known.run, since: sinceS(), failures: known.failures })}`, take, fail);
