// Asks Locust what is new, as long as somebody looks at the page.

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
