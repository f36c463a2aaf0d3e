// What the tab and the live page share: building elements, formatting, the theme, polling. Text is only ever inserted
// as text.

const SVG = "http://www.w3.org/2000/svg";

function fill(node, attributes, children) {
  for (const [name, value] of Object.entries(attributes)) {
    if (name.startsWith("on")) node.addEventListener(name.slice(2), value);
    else if (value !== null && value !== undefined && value !== false) node.setAttribute(name, value === true ? "" : value);
  }
  node.append(...children.filter((child) => child !== null && child !== undefined && child !== ""));
  return node;
}

export const el = (tag, attributes = {}, ...children) => fill(document.createElement(tag), attributes, children);
export const svg = (tag, attributes = {}, ...children) => fill(document.createElementNS(SVG, tag), attributes, children);

const whole = new Intl.NumberFormat("en-US");
export const count = (value) => whole.format(Math.round(value));

/** Three significant digits at most, a dash where there is nothing. */
export function short(value) {
  if (value === null || value === undefined) return "–";
  if (value >= 100 || value === 0) return count(value);
  return value >= 10 ? value.toFixed(1) : value.toFixed(2);
}

const plainly = (text) => (text.includes(".") ? text.replace(/\.?0+(?=\D*$)/, "") : text);

/** The same for the marks of an axis, which are round: without the zeros behind the point. */
export const tick = (show) => (value) => plainly(show(value));

/** A threshold's value, as in the report: a small ratio must not read 0. */
export const fourDigits = (value) => String(value >= 1e4 ? Math.round(value) : Number(value.toPrecision(4)));

/** Milliseconds in the unit that fits. */
export function duration(ms) {
  if (ms === null || ms === undefined) return "–";
  if (ms >= 1000) return `${short(ms / 1000)} s`;
  return ms < 1 && ms > 0 ? `${count(ms * 1000)} µs` : `${short(ms)} ms`;
}

export function hms(seconds) {
  const s = Math.round(seconds);
  return [Math.floor(s / 3600), Math.floor(s / 60) % 60, s % 60].map((n, i) => (i ? String(n).padStart(2, "0") : n)).join(":");
}

/** What the verdict says in a few words. */
export function headline({ verdict, state }) {
  if (!verdict) return "No test has run yet.";
  if (state === "running") return verdict.passed ? "Nothing has failed so far" : "Failed so far";
  return `${verdict.passed ? "Passed" : "Failed"}${state === "interrupted" ? ", interrupted" : ""}`;
}

/** The badge of a scenario's or a threshold's status, red where it is at fault; colour is never the only sign. */
export function badge(status, fault = status === "failed") {
  const kinds = { passed: "good", "not run": "soft", "failures allowed": "warn" };
  return el("span", { class: `badge ${fault ? "bad" : kinds[status] || "soft"}` }, status);
}

/** A row's or card's class. */
export const kind = (scenario) => `${scenario.status.replaceAll(" ", "-")}${scenario.at_fault ? " at-fault" : ""}`;

/** Why a scenario has its status, and why runs were skipped: [text, class]. */
export function notes(scenario) {
  const skips = Object.entries(scenario.skips).map(([why, times]) => `skipped ${count(times)} ×: ${why}`);
  const { confirmed, unchecked } = scenario;
  const proofs = confirmed || unchecked ? `${count(confirmed)} runs were confirmed later, ${count(unchecked)} stayed unchecked` : "";
  const others = [...skips, proofs].filter(Boolean).map((text) => [text, ""]);
  return scenario.why ? [[scenario.why, scenario.at_fault ? "bad" : ""], ...others] : others;
}

/** As in Locust: its own switch first, then the system's setting. */
export const dark = () =>
  localStorage.theme === "dark" || (!("theme" in localStorage) && matchMedia("(prefers-color-scheme: dark)").matches);

export const EVERY_MS = 2000;

/** Ask `url()` every two seconds while the page is in view; `take(answer)` or `fail(text)`. Returns a stop function. */
export function poll(url, take, fail) {
  let timer = 0;
  let stopped = false;
  let asking = false;
  async function ask() {
    clearTimeout(timer);
    if (stopped || asking) return;
    asking = true;
    try {
      if (!document.hidden) await once(url(), take, fail);
    } finally {
      asking = false;
      if (!stopped) timer = setTimeout(ask, EVERY_MS);
    }
  }
  document.addEventListener("visibilitychange", ask);
  ask();
  return () => {
    stopped = true;
    clearTimeout(timer);
    document.removeEventListener("visibilitychange", ask);
  };
}

async function once(url, take, fail) {
  let answer;
  try {
    const response = await fetch(url, { redirect: "manual", signal: AbortSignal.timeout(10000) });
    if (response.type === "opaqueredirect" || response.status === 401) {
      return fail("Your login has ended. Load this page again to log in.");
    }
    if (!response.ok) return fail(`Locust answered with status ${response.status}.`);
    answer = await response.json();
  } catch {
    return fail("Locust does not answer. What is shown is what it said last.");
  }
  return take(answer);
}
