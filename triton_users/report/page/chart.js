// A chart over the time of a run: uPlot with our axes, colours, marks and keys. It draws what it is given and adds up
// nothing; uPlot is a global of its own script.

import { el, hms, plain, short } from "./format.js";

const TIMES = [1, 2, 5, 10, 20, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 14400, 21600, 43200, 86400, 172800]; // seconds
const DRAG = 6; // pixels that make a drag, not a click
export const charts = new Set(); // all that have a plot which `repaint` draws again
const shades = new Map(); // colour -> its value in the theme in force

/** A colour of base.css as a canvas takes it. */
export function shade(name) {
  if (!shades.has(name)) shades.set(name, getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim());
  return shades.get(name);
}

/** Draw all charts again, after the theme has changed. */
export function repaint() {
  shades.clear();
  for (const chart of charts) chart.plot?.redraw(false);
}

/** Values 1, 2 or 5 times a power of ten around `low` to `high`; powers alone where these are many. */
function logTicks(low, high) {
  const all = [];
  for (let power = Math.floor(Math.log10(low)); power <= Math.ceil(Math.log10(high)); power += 1) {
    for (const n of [1, 2, 5]) all.push(n * 10 ** power);
  }
  const first = Math.max(0, all.findLastIndex((tick) => tick <= low * 1.0001));
  const last = Math.max(all.findIndex((tick) => tick >= high * 0.9999), first + 1);
  const within = all.slice(first, last + 1);
  if (within.length <= 5) return within;
  const powers = within.filter((tick) => Math.abs(Math.log10(tick) - Math.round(Math.log10(tick))) < 1e-9);
  const some = powers.filter((_, i) => i % Math.ceil(powers.length / 5) === 0);
  return [...new Set([within[0], ...some, within.at(-1)])];
}

/** An axis has room for few characters. */
const brief = (value) => (value >= 1e6 ? `${plain(value / 1e6)}M` : value >= 1e4 ? `${plain(value / 1e3)}k` : plain(value));

export class Chart {
  /**
   * @param options {label, height, kind: "line" | "area" | "steps" | "stack", log, show: value -> text,
   *   pointed(chart, row or null, place, byKeys), zoomed(from, to)}
   */
  constructor({ label, height = 150, kind = "line", log = false, show = short, pointed, zoomed }) {
    Object.assign(this, { label, height, kind, log, show, pointed, zoomed, series: [], rows: [] });
    this.nothing = el("p", { class: "nothing soft small", hidden: true }, "none");
    this.root = el("div", { class: "plot", role: "img", tabindex: 0 }, this.nothing);
    this.root.addEventListener("pointermove", (event) => this.#moved(event));
    this.root.addEventListener("pointerleave", () => this.pointed(this, null));
    this.root.addEventListener("blur", () => this.#leave());
    this.root.addEventListener("keydown", (event) => this.#key(event));
    this.observer = new ResizeObserver(() => this.#fit());
    this.observer.observe(this.root);
    charts.add(this);
  }

  /**
   * @param series [{name, colour, value: row -> number or null}]
   * @param rows [{start, end, ...}], gapless; seconds `from` to `to` of the run are shown
   * @param marks {bands: [{start, end}] to shade, failed: row -> whether it gets a red mark, limit: a line across}
   */
  update(series, rows, from, to, { bands = [], failed = () => false, limit = 0 } = {}) {
    const named = (list) => list.map(({ name, colour }) => `${name} ${colour}`).join("\n");
    const same = named(series) === named(this.series);
    Object.assign(this, { series, rows, from, to: Math.max(to, from + 1), bands, failed, limit });
    const seen = series.flatMap(({ value }) => rows.map(value)).filter((value) => value > 0);
    this.nothing.hidden = seen.length > 0;
    this.ticks = this.log ? (seen.length ? logTicks(Math.min(...seen), Math.max(...seen)) : [1, 10]) : null;
    this.root.setAttribute("aria-label", this.#spoken());
    if (this.plot && same) this.plot.setData(this.#columns());
    else this.#build();
  }

  destroy() {
    this.plot?.destroy();
    this.observer.disconnect();
    charts.delete(this);
  }

  /** Whether single values are joined by lines through the middles of what they cover, or each drawn over all of it. */
  get #stepped() {
    return this.kind === "steps";
  }

  /** What uPlot draws: x and, for each of its series, y. Lines and areas reach the edges of the first and last rows. */
  #columns() {
    const { rows } = this;
    if (!rows.length) return [[this.from, this.to], ...this.series.map(() => [null, null])];
    const last = rows.at(-1);
    const around = (values) => (this.#stepped ? [...values, values.at(-1)] : [values[0], ...values, values.at(-1)]);
    const x = this.#stepped ? [...rows.map(({ start }) => start), last.end]
      : [rows[0].start, ...rows.map(({ start, end }) => (start + end) / 2), last.end];
    const known = (value) => (value === undefined || value === null || (this.log && value <= 0) ? null : value);
    const ys = this.series.map(({ value }) => rows.map((row) => known(value(row))));
    if (this.kind === "stack") {
      for (let i = 1; i < ys.length; i += 1) ys[i] = ys[i].map((value, at) => (value || 0) + (ys[i - 1][at] || 0));
      ys.reverse(); // the highest is drawn first, the others over it
    }
    return [x, ...ys.map(around)];
  }

  #build() {
    this.plot?.destroy();
    this.plot = null;
    this.#fit();
  }

  #fit() {
    const width = this.root.clientWidth;
    if (!width || this.from === undefined) return;
    if (!this.plot) {
      this.plot = new uPlot(this.#options(width), this.#columns(), this.root);
      this.root.plot = this.plot; // for who looks with the browser's console, or tests it
    } else if (this.plot.width !== width) this.plot.setSize({ width, height: this.height });
  }

  #options(width) {
    const axis = { font: "11px system-ui, sans-serif", stroke: () => shade("soft"), ticks: { show: false } };
    const grid = { stroke: () => shade("grid"), width: 1 };
    const top = (high) => (high > 0 ? high * 1.05 : 1);
    const drawn = this.kind === "stack" ? [...this.series].reverse() : this.series;
    return {
      width,
      height: this.height,
      legend: { show: false },
      padding: [8, 18, 0, 0],
      cursor: {
        y: false,
        points: { show: false },
        drag: { x: true, y: false, setScale: false, dist: DRAG },
        bind: { dblclick: () => () => this.zoomed(null) },
        sync: { key: "run", scales: ["x", null], filters: { pub: (type) => type === "mousemove" || type === "mouseleave" } },
      },
      scales: {
        x: { time: false, range: () => [this.from, this.to] },
        y: this.log ? { distr: 3, range: () => [this.ticks[0], this.ticks.at(-1)] }
          : { range: (_, __, high) => [0, top(Math.max(high ?? 0, this.limit))] },
      },
      axes: [
        { ...axis, grid: { show: false }, incrs: TIMES, space: 64, size: 22, gap: 4, values: (_, splits) => splits.map((s) => this.#time(s, splits)) },
        { ...axis, grid, size: 46, gap: 6, space: 28, filter: (_, splits) => splits, values: (_, splits) => splits.map(brief),
          ...(this.log ? { splits: () => this.ticks } : {}) },
      ],
      series: [{}, ...drawn.map(({ colour }) => this.#line(colour))],
      hooks: {
        drawClear: [(u) => this.#shadeBands(u)],
        draw: [(u) => this.#mark(u)],
        setSelect: [(u) => this.#selected(u)],
      },
    };
  }

  #time(seconds, splits) {
    if (this.to < 3600) return hms(seconds).slice(2);
    return splits.every((s) => s % 60 === 0) ? hms(seconds).slice(0, -3) : hms(seconds);
  }

  #line(colour) {
    const under = { area: "22", steps: "22", stack: "" }[this.kind];
    const lone = (u, i) => {
      const y = u.data[i];
      return y.flatMap((value, at) => (value !== null && y[at - 1] == null && y[at + 1] == null ? [at] : []));
    };
    return {
      stroke: () => shade(colour),
      width: this.kind === "stack" ? 0.5 : 1.6,
      fill: under === undefined ? undefined : () => shade(colour) + under,
      paths: this.#stepped ? uPlot.paths.stepped({ align: 1, alignGaps: 1 }) : uPlot.paths.linear(),
      points: { show: false, filter: this.#stepped ? () => null : lone, size: 5, fill: () => shade(colour) },
    };
  }

  #shadeBands(u) {
    u.ctx.save();
    u.ctx.fillStyle = `${shade("warn")}24`;
    for (const { start, end } of this.bands) {
      if (end <= this.from || start >= this.to) continue;
      const left = u.valToPos(Math.max(start, this.from), "x", true);
      const right = u.valToPos(Math.min(end, this.to), "x", true);
      u.ctx.fillRect(left, u.bbox.top, Math.max(right - left, 1), u.bbox.height);
    }
    u.ctx.restore();
  }

  /** The limit as a line, and rows with failures as red marks on the axis. */
  #mark(u) {
    const { ctx, bbox } = u;
    ctx.save();
    ctx.fillStyle = shade("bad");
    const tall = 5 * uPlot.pxRatio;
    for (const row of this.rows.filter(this.failed)) {
      const [left, right] = [row.start, row.end].map((s) => u.valToPos(Math.min(Math.max(s, this.from), this.to), "x", true));
      ctx.fillRect(left, bbox.top + bbox.height - tall, Math.max(right - left - 1, 2), tall);
    }
    if (this.limit) {
      ctx.globalAlpha = 0.6;
      ctx.fillRect(bbox.left, u.valToPos(this.limit, "y", true), bbox.width, uPlot.pxRatio);
    }
    ctx.restore();
  }

  #selected(u) {
    const { left, width } = u.select;
    if (width < DRAG) return;
    u.setSelect({ left: 0, top: 0, width: 0, height: 0 }, false);
    this.zoomed(Math.max(u.posToVal(left, "x"), 0), u.posToVal(left + width, "x"));
  }

  #moved(event) {
    if (!this.plot) return;
    const time = this.plot.posToVal(event.clientX - this.plot.over.getBoundingClientRect().left, "x");
    this.pointed(this, this.rows.find(({ start, end }) => time >= start && time < end) || null, event);
  }

  #leave() {
    this.at = null;
    this.plot?.setCursor({ left: -10, top: -10 }, true, true);
    this.pointed(this, null);
  }

  #key(event) {
    if (event.key === "Escape") this.#leave();
    const last = this.rows.length - 1;
    const now = this.rows.findIndex(({ start }) => start === this.at?.start);
    const to = { ArrowLeft: now < 0 ? last : now - 1, ArrowRight: now < 0 ? last : now + 1, Home: 0, End: last }[event.key];
    if (to === undefined || last < 0 || !this.plot) return;
    event.preventDefault();
    this.at = this.rows[Math.min(Math.max(to, 0), last)];
    const left = this.plot.valToPos((this.at.start + this.at.end) / 2, "x");
    this.plot.setCursor({ left, top: 0 }, true, true);
    const box = this.plot.over.getBoundingClientRect();
    this.pointed(this, this.at, { clientX: box.left + left, clientY: box.top }, true);
  }

  #spoken() {
    const parts = this.series.map(({ name, value }) => {
      const values = this.rows.map(value).filter((one) => one !== null && one !== undefined);
      return values.length ? `${name}: last ${this.show(values.at(-1))}, highest ${this.show(Math.max(...values))}` : `${name}: none`;
    });
    return `${this.label}. ${parts.join(". ")}. Arrow keys read single values.`;
  }
}
