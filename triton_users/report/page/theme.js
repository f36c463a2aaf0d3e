// Light or dark: as in Locust, whose choice this is too, else as the system says.

import { byId, dark } from "./format.js";

const otherThan = (chosen) => (chosen === "dark" ? "light" : "dark");

/** Show the theme in force, and follow it; `changed` is called each time. */
export function followTheme(changed) {
  const show = (chosen) => {
    document.documentElement.dataset.theme = chosen;
    byId("theme").textContent = chosen === "dark" ? "Light" : "Dark";
    byId("theme").setAttribute("aria-label", `Switch to the ${otherThan(chosen)} colours`);
    changed();
  };
  const follow = () => show(dark() ? "dark" : "light");
  byId("theme").addEventListener("click", () => {
    const chosen = otherThan(document.documentElement.dataset.theme);
    try {
      localStorage.theme = chosen; // where Locust keeps it too
    } catch {
      // A sandboxed file has no storage; the choice holds as long as it is open.
    }
    show(chosen);
  });
  window.addEventListener("storage", follow);
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", follow);
  follow();
}
