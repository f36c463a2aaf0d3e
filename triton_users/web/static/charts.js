// Small SVG charts over the time of a run. They draw what they are given; they fetch and add up nothing.

import { hms, svg, tick as marked } from "./common.js";

const LEFT = 46;
const RIGHT = 10;
const TOP = 8;
const BOTTOM = 20;
const STEPS = [1, 2, 5, 10, 20, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 14400, 28800, 86400];

/** Round values from 0 to at least `high`, three or four of them. */
function linearTicks(high) {
  const rough = (high || 1) / 3;
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 2.5, 5, 10].map((n) => n * power).find((n) => n >= rough);
  return Array.from({ length: Math.ceil((high || 1) / step - 1e-9) + 1 }, (_, i) => i * step);
}

/** Values 1, 2 or 5 times a power of ten around `low` to `high`; powers alone where these are many. */
function logTicks(low, high) {
  const all = [];
  for (let power = Math.floor(Math.log10(low)); power <= Math.ceil(Math.log10(high)); power += 1) {
    for (const n of [1, 2, 5]) all.push(n * 10 ** power);
  }
  const first = all.findLastIndex((tick) => tick <= low * 1.0001);
  const last = Math.max(all.findIndex((tick) => tick >= high * 0.9999), first + 1);
  const within = all.slice(Math.max(0, first), last + 1);
  if (within.length <= 5) return { low: within[0], high: within.at(-1), ticks: within };
  const powers = within.filter((tick) => Math.abs(Math.log10(tick) - Math.round(Math.log10(tick))) < 1e-9);
  return { low: within[0], high: within.at(-1), ticks: powers.filter((_, i) => i % Math.ceil(powers.length / 5) === 0) };
}

export class Chart {
  /**
   * @param series [{name, key, kind: "line" | "area" | "bars" | "steps", colour}], each drawn from `row[key]`
   * @param options {label, height, log, show (value -> text), point (row or null -> nothing)}
   */
  constructor(series, { label, height = 150, log = false, show, point }) {
    Object.assign(this, { series, label, height, log, show, point, rows: [], width: 0 });
    this.root = svg("svg", { class: "plot", role: "img", tabindex: 0, height });
    this.root.addEventListener("pointermove", (event) => this.#pointed(event));
    this.root.addEventListener("pointerleave", () => this.point(null));
    this.root.addEventListener("blur", () => this.point(null));
    this.root.addEventListener("keydown", (event) => this.#key(event));
    new ResizeObserver(() => {
      if (this.root.clientWidth !== this.width) this.#draw();
    }).observe(this.root);
  }

  /** `rows`: [{start, end, ...values}], gapless; `from` to `to`: seconds shown; `bands`: [{start, end}] to shade. */
  update(rows, from, to, bands = []) {
    Object.assign(this, { rows, from, to: Math.max(to, from + 1), bands });
    this.#draw();
  }

  /** Show the cursor at this row, or none. */
  mark(row) {
    if (!this.cursor) return;
    if (!row) return this.cursor.setAttribute("visibility", "hidden");
    const x = this.#x((row.start + row.end) / 2);
    this.cursor.setAttribute("visibility", "visible");
    this.cursor.setAttribute("d", `M${x} ${TOP}V${this.height - BOTTOM}`);
    return undefined;
  }

  #x(time) {
    return LEFT + ((time - this.from) / (this.to - this.from)) * (this.width - LEFT - RIGHT);
  }

  #pointed(event) {
    const time = this.from + ((event.offsetX - LEFT) / (this.width - LEFT - RIGHT)) * (this.to - this.from);
    const row = this.rows.find(({ start, end }) => time >= start && time < end);
    this.point(row || null, event);
  }

  #key(event) {
    const step = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
    if (event.key === "Escape") this.point(null);
    if (!step || !this.rows.length) return;
    event.preventDefault();
    const at = this.rows.indexOf(this.at);
    this.at = this.rows[Math.min(Math.max(at < 0 ? this.rows.length - 1 : at + step, 0), this.rows.length - 1)];
    const box = this.root.getBoundingClientRect();
    this.point(this.at, { clientX: box.left + this.#x((this.at.start + this.at.end) / 2), clientY: box.top + TOP });
  }

  #draw() {
    this.width = this.root.clientWidth;
    if (!this.width || this.from === undefined) return;
    const lines = this.series.filter(({ kind }) => kind !== "ticks");
    const seen = this.rows.flatMap((row) => lines.map(({ key }) => row[key])).filter((v) => v !== null && v !== undefined);
    const positive = seen.filter((value) => value > 0);
    const floor = this.height - BOTTOM;
    let [low, high, ticks] = [0, 0, []];
    if (!this.log) {
      ticks = linearTicks(Math.max(0, ...seen));
      high = ticks.at(-1);
    } else if (positive.length) {
      ({ low, high, ticks } = logTicks(Math.min(...positive), Math.max(...positive)));
    }
    const part = this.log ? (v) => Math.log(Math.max(v, low) / low) / Math.log(high / low) : (v) => v / high;
    const y = (value) => floor - part(value) * (floor - TOP);
    this.cursor = svg("path", { class: "cursor", visibility: "hidden" });
    this.root.setAttribute("viewBox", `0 0 ${this.width} ${this.height}`);
    this.root.setAttribute("aria-label", this.#told());
    this.root.replaceChildren(
      ...this.bands.filter(({ start, end }) => end > this.from && start < this.to).map(({ start, end }) => {
        const [left, right] = [this.#x(Math.max(start, this.from)), this.#x(Math.min(end, this.to))];
        return svg("rect", { class: "band", x: left, y: TOP, width: Math.max(right - left, 1), height: floor - TOP });
      }),
      ...ticks.flatMap((tick) => [
        svg("path", { class: "grid", d: `M${LEFT} ${y(tick)}H${this.width - RIGHT}` }),
        svg("text", { x: LEFT - 6, y: y(tick) + 4, "text-anchor": "end" }, marked(this.show)(tick)),
      ]),
      ...this.#times(floor),
      ...this.series.flatMap((one) => this.#shape(one, y, floor)),
      ...(positive.length ? [] : [
        svg("text", { x: (LEFT + this.width - RIGHT) / 2, y: (TOP + floor) / 2 + 4, "text-anchor": "middle" }, seen.length ? "none" : "nothing yet"),
      ]),
      this.cursor,
    );
  }

  #times(floor) {
    const step = STEPS.find((n) => ((this.to - this.from) / n) * 64 <= this.width - LEFT) || STEPS.at(-1);
    const shown = [];
    for (let time = Math.ceil(this.from / step) * step; time <= this.to; time += step) {
      const x = Math.min(this.#x(time), this.width - 14);
      const told = this.to < 3600 ? hms(time).slice(2) : step % 60 ? hms(time) : hms(time).slice(0, -3);
      shown.push(svg("text", { x, y: floor + 15, "text-anchor": "middle" }, told));
    }
    return shown;
  }

  #shape({ key, kind, colour }, y, floor) {
    const drawn = { "data-series": key };
    if (kind === "ticks") {
      return this.rows.filter((row) => row[key] > 0).map((row) => {
        const [left, right] = [this.#x(row.start), this.#x(row.end)];
        return svg("rect", { ...drawn, class: `fill ${colour}`, x: left, y: floor - 5, width: Math.max(right - left - 0.5, 2), height: 5 });
      });
    }
    if (kind === "bars") {
      return this.rows.filter((row) => row[key] > 0).map((row) => {
        const [left, right, top] = [this.#x(row.start), this.#x(row.end), y(row[key])];
        return svg("rect", { ...drawn, class: `fill ${colour}`, x: left, y: top, width: Math.max(right - left - 1, 1.5), height: floor - top });
      });
    }
    // Stretches of rows that have a value; one that stands alone is drawn as a dot.
    const stretches = [];
    let previous = null;
    for (const row of this.rows) {
      const missing = row[key] === null || row[key] === undefined;
      if (!missing && previous === null) stretches.push([]);
      if (!missing) stretches.at(-1).push(row);
      previous = missing ? null : row;
    }
    // A line goes through the points' middles; an area reaches the outer edges of its first and last ones.
    const x = (row, share) => this.#x(Math.max(row.start + (row.end - row.start) * share, this.from)).toFixed(1);
    const corners = (row, i, rows) => {
      if (kind === "steps") return [x(row, 0), x(row, 1)];
      if (kind !== "area") return [x(row, 0.5)];
      return [...(i ? [] : [x(row, 0)]), x(row, 0.5), ...(i < rows.length - 1 ? [] : [x(row, 1)])];
    };
    const path = (rows) => `M${rows.flatMap((row, i) => corners(row, i, rows).map((at) => `${at} ${y(row[key]).toFixed(1)}`)).join("L")}`;
    const lone = kind !== "line" ? [] : stretches.filter((rows) => rows.length === 1);
    const joined = stretches.filter((rows) => !lone.includes(rows));
    const points = stretches.reduce((total, rows) => total + rows.length, 0);
    return [
      ...(kind === "area" ? joined.map((rows) => svg("path", { class: `under ${colour}`, d: `${path(rows)}L${x(rows.at(-1), 1)} ${floor}L${x(rows[0], 0)} ${floor}Z` })) : []),
      svg("path", { class: `stroke dot ${colour}`, d: lone.map((rows) => `${path(rows)}h0`).join("") }),
      svg("path", { ...drawn, class: `stroke ${colour}`, d: joined.map(path).join(""), "data-points": points }),
    ];
  }

  #told() {
    const told = this.series.map(({ name, key }) => {
      const values = this.rows.map((row) => row[key]).filter((value) => value !== null && value !== undefined);
      return values.length ? `${name}: now ${this.show(values.at(-1))}, highest ${this.show(Math.max(...values))}` : `${name}: nothing yet`;
    });
    return `${this.label}. ${told.join(". ")}. Arrow keys read single values.`;
  }
}
