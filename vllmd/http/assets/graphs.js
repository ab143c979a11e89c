"use strict";
// The last ten minutes of each engine as small graphs: made anew when there are other figures.

const SPAN_S = 600, PLOT_HEIGHT = 48, STEP_S = 5;
const TOPS = [1, 1.5, 2, 3, 4, 5, 6, 8, 10]; // of an axis, times a power of ten
const GRAPHS = [
  { label: "Tokens/s", names: ["tokens_per_s"], least: 10, say: (v) => v.toFixed(v < 10 ? 1 : 0) },
  { label: "Requests", names: ["running", "waiting"], least: 4, say: String },
  { label: "TTFT p95", names: ["ttft_p95_s"], least: 0.1, none: "no requests", say: (v) => seconds(v),
    axis: (v) => v < 1 ? seconds(v) : `${v} s` },
  { label: "KV cache", names: ["kv_cache_usage"], top: 1, say: (v) => percent(v) },
];

let graphsOf = null, graphsMade = [];

function known(values) { return values.filter((value) => value !== null); }

function axisTop(graph, values) {
  if (graph.top) { return graph.top; }
  const most = Math.max(graph.least, ...values);
  const power = 10 ** Math.floor(Math.log10(most));
  return TOPS.find((top) => top * power >= most) * power;
}

function longestStep(at) { // what is further apart has a gap between: a page is read every few seconds
  const steps = at.slice(1).map((each, index) => each - at[index]).sort((a, b) => a - b);
  return 3 * Math.max(STEP_S, steps[Math.floor(steps.length / 2)] || 0);
}

function stretches(at, values, from, top) {
  const longest = longestStep(at), found = [];
  let last = -Infinity;
  at.forEach((each, index) => {
    if (values[index] === null || each < from) { last = -Infinity; return; }
    if (each - last > longest) { found.push([]); }
    const y = PLOT_HEIGHT * (1 - Math.min(1, values[index] / top));
    found[found.length - 1].push([(each - from).toFixed(0), y.toFixed(1)]);
    last = each;
  });
  return found;
}

const through = (points) => points.map(([x, y]) => `${x} ${y}`).join("L");
const line = (parts) => parts.map((points) => `M${through(points)}${points.length > 1 ? "" : "h0"}`).join("");
const area = (parts) => parts.map((points) =>
  `M${points[0][0]} ${PLOT_HEIGHT}L${through(points)}V${PLOT_HEIGHT}Z`).join("");

function inWords(graph, engine, series) {
  const each = graph.names.map((name) => {
    const values = known(series[name]), label = graph.names.length > 1 ? `${name} ` : "";
    if (!values.length) { return `${label}${graph.none || "not known"}`; }
    const last = series[name][series[name].length - 1];
    const [now, low, high] = [last, Math.min(...values), Math.max(...values)].map((value) =>
      value === null ? graph.none || "not known" : graph.say(value));
    return `${label}last ${now}, lowest ${low}, highest ${high}`;
  });
  return `${graph.label} of ${engine} in the last ten minutes: ${each.join("; ")}`;
}

function graphOf(graph, engine, series, to) {
  const values = series ? known(graph.names.flatMap((name) => series[name])) : [];
  const top = axisTop(graph, values), paths = [];
  if (values.length) {
    graph.names.forEach((name, index) => {
      const parts = stretches(series.at, series[name], to - SPAN_S, top);
      if (!index) { paths.push(h("path", { class: "area", d: area(parts) })); }
      paths.push(h("path", { class: name, d: line(parts) }));
    });
  }
  const label = graph.names.length > 1
    ? graph.names.map((name) => h("span", { class: `key ${name}` }, name)) : graph.label;
  const none = series && !values.length ? graph.none || "not known" : "";
  return h("div", { class: "graph" },
    h("p", { "aria-hidden": "true" }, h("span", null, label), h("span", null, values.length ? (graph.axis || graph.say)(top) : "")),
    h("svg", { role: "img", viewBox: `0 0 ${SPAN_S} ${PLOT_HEIGHT}`, preserveAspectRatio: "none",
      "aria-label": series ? inWords(graph, engine, series) : `${graph.label} of ${engine}` }, paths),
    h("p", { class: "nothing", "aria-hidden": "true" }, none));
}

function hasPast(engine) {
  const series = shown.series && own(shown.series.engines, engine.name);
  return engine.up || Boolean(series && series.at.length);
}

function makeGraphs() {
  const drawn = shown.engines.filter(hasPast);
  if (!drawn.length) { return []; }
  const all = shown.series ? shown.series.engines : {};
  return [h("section", { "aria-labelledby": "graphs" }, h("h2", { id: "graphs" }, "The last ten minutes"),
    h("ul", { class: "graphs" }, drawn.map(({ name }) => h("li", null, h("h3", null, name),
      h("div", { class: "plots" }, GRAPHS.map((graph) => graphOf(graph, name, own(all, name), shown.at)))))))];
}

function graphs() {
  if (graphsOf !== shown) { graphsMade = makeGraphs(); graphsOf = shown; }
  return graphsMade;
}
