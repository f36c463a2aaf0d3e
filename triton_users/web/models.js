// Under the field "models" of Locust's start form: the server's models to choose from, once its address is known.

import { dark, el } from "./format.js";

const SETTLED_MS = 600; // after the last key in the field of the host; picked arbitrarily

/** Give a field of Locust's form a text, as typing would: React keeps its own copy of what it was given. */
function write(field, text) {
  Object.getOwnPropertyDescriptor(Object.getPrototypeOf(field), "value").set.call(field, text);
  field.dispatchEvent(new Event("input", { bubbles: true }));
}

const entries = (text) => text.split(",").map((part) => part.trim()).filter(Boolean);
const nameOf = (entry) => entry.split("=")[0].trim();

/** The choices under one form's field. */
class Choices {
  constructor(field) {
    this.field = field;
    this.host = null;
    this.models = [];
    this.timer = 0;
    this.root = el("div", { class: "triton offered", role: "group", "aria-label": "Models of the server" });
    (field.closest(".MuiFormControl-root") || field).after(this.root);
    field.addEventListener("input", () => this.draw());
    field.form?.addEventListener("input", (event) => event.target.name === "host" && this.later());
    this.ask();
  }

  later() {
    clearTimeout(this.timer);
    this.timer = setTimeout(() => this.ask(), SETTLED_MS);
  }

  async ask() {
    const host = (this.field.form?.elements.namedItem("host")?.value || "").trim();
    if (host === this.host) return;
    this.host = host;
    let answer;
    try {
      const response = await fetch(`./triton/models.json?host=${encodeURIComponent(host)}`);
      answer = await response.json();
    } catch {
      answer = { models: [], message: "" };
    }
    if (host !== this.host) return; // another one was written meanwhile
    this.models = answer.models;
    this.message = answer.message;
    this.draw();
  }

  draw() {
    this.root.dataset.theme = dark() ? "dark" : "light";
    const chosen = new Set(entries(this.field.value).map(nameOf));
    const buttons = this.models.map((model) => {
      const pressed = chosen.has(model.name);
      const hint = `${model.inputs}${model.shape ? `; needs sizes: ${model.shape}` : ""}`;
      return el("button", { type: "button", title: hint, "aria-pressed": String(pressed), onclick: () => this.toggle(model) }, model.name);
    });
    this.root.replaceChildren(...buttons, this.message ? el("span", { class: "soft small" }, this.message) : "");
  }

  toggle(model) {
    const now = entries(this.field.value);
    const without = now.filter((entry) => nameOf(entry) !== model.name);
    const add = without.length === now.length;
    write(this.field, (add ? [...now, model.name] : without).join(","));
    const shapes = this.field.form?.elements.namedItem("shape");
    if (add && shapes && model.shape && !shapes.value.includes(`${model.name}:`)) {
      write(shapes, [shapes.value, model.shape].filter(Boolean).join(","));
    }
    this.draw();
  }
}

const known = new WeakSet();

/** Offer the models in a form that has just come. */
export function offer() {
  const field = document.querySelector('form input[name="models"]');
  if (!field || known.has(field)) return;
  known.add(field);
  new Choices(field);
}
