// The points of the run that the page has, and how they are made fewer for drawing. Draws nothing.

const SETTLED_S = 15; // a worker's counts may still change points this young
const MOST_KEPT = 1440; // beyond this the page forgets and asks again: Locust has merged its older points meanwhile
const MOST_DRAWN = 240; // of a chart's points, two neighbours together cover at least this part of its time

const ARRIVALS = ["intended_per_s", "issued_per_s", "missed_per_s"]; // null where users start by themselves

/** One value of a column, which is one value alone where all are alike. */
const at = (column, i) => (Array.isArray(column) ? column[i] : column);

export class History {
  constructor() {
    this.forget();
  }

  forget() {
    this.points = [];
    this.sinceS = -1;
  }

  /** Take in the columns of an answer; those that come replace what the page has from their start on. */
  add(columns, asOfS) {
    const { start_s: starts, end_s: ends } = columns;
    if (starts.length) {
      this.points = this.points.filter((point) => point.end <= starts[0] + 0.001);
      for (let i = 0; i < starts.length; i += 1) {
        const arrivals = Object.fromEntries(ARRIVALS.map((key) => [key, at(columns[key], i)]));
        const scenarios = {};
        for (const [name, series] of Object.entries(columns.scenarios)) {
          if (at(series.runs, i) === null) continue;
          scenarios[name] = Object.fromEntries(Object.entries(series).map(([key, values]) => [key, at(values, i)]));
        }
        this.points.push({ start: starts[i], end: ends[i], users: at(columns.users, i), open: at(columns.open_sequences, i), ...arrivals, scenarios });
      }
    }
    this.sinceS = asOfS - SETTLED_S;
    if (this.points.length > MOST_KEPT) this.forget();
  }

  /** The points of `fromS` to `toS`, neighbours made one until there are few enough; the newest only if `ended`. */
  shown(fromS, toS, asOfS, ended) {
    // What came in the last seconds is not complete while workers still count.
    let chosen = this.points.filter(({ start, end }) => end > fromS && start < toS && (ended || end <= asOfS - 3));
    const last = chosen.at(-1);
    if (chosen.length > 1 && last.end - last.start < 2) chosen = [...chosen.slice(0, -2), merged(chosen.slice(-2))];
    if (chosen.length <= MOST_DRAWN) return chosen;
    const least = (chosen.at(-1).end - chosen[0].start) / MOST_DRAWN; // older points cover more time than newer ones
    const groups = [[chosen[0]]];
    for (const point of chosen.slice(1)) {
      const group = groups.at(-1);
      if (point.end - group[0].start <= least * 1.001) group.push(point);
      else groups.push([point]);
    }
    return groups.map((group) => (group.length > 1 ? merged(group) : group[0]));
  }
}

/** A rate over several points; null where none of them has one. */
function perSecond(points, key, span) {
  if (points.every((point) => point[key] === null)) return null;
  return points.reduce((total, point) => total + (point[key] || 0) * (point.end - point.start), 0) / span;
}

/** Several points as one: rates by time, medians by requests, the highest p99 and gauges, counts summed. */
function merged(points) {
  const span = points.at(-1).end - points[0].start;
  const highest = (values) => values.reduce((a, b) => (b !== null && (a === null || b > a) ? b : a), null);
  const scenarios = {};
  for (const name of new Set(points.flatMap((point) => Object.keys(point.scenarios)))) {
    const parts = points.filter((point) => point.scenarios[name]).map((point) => [point.scenarios[name], point.end - point.start]);
    const sum = (key) => parts.reduce((total, [part]) => total + part[key], 0);
    const requests = parts.reduce((total, [part, s]) => total + part.requests_per_s * s, 0);
    const timed = parts.filter(([part]) => part.p50_ms !== null);
    const weight = timed.reduce((total, [part, s]) => total + part.requests_per_s * s, 0);
    const middle = timed.reduce((total, [part, s]) => total + part.p50_ms * part.requests_per_s * s, 0);
    scenarios[name] = {
      requests_per_s: requests / span,
      p50_ms: weight ? middle / weight : highest(timed.map(([part]) => part.p50_ms)),
      p99_ms: highest(timed.map(([part]) => part.p99_ms)),
      runs: sum("runs"),
      failures: sum("failures"),
      expected_deadlines: sum("expected_deadlines"),
    };
  }
  return {
    start: points[0].start,
    end: points.at(-1).end,
    users: highest(points.map((point) => point.users)),
    open: highest(points.map((point) => point.open)),
    ...Object.fromEntries(ARRIVALS.map((key) => [key, perSecond(points, key, span)])),
    scenarios,
  };
}
