"use strict";
// The page draws /status.json?series again and again; what it is given is only ever put in as text.

const EVERY_MS = 5000, LONGEST_MS = 60000, TIMEOUT_MS = 10000;
const FAILED_STATES = ["backoff", "held", "stalled", "unreachable"];
const WAITING_STATES = ["starting", "loading", "draining", "stopping", "sleeping"];
const waits = (e) => WAITING_STATES.includes(e.state) || Boolean(e.awaited_load);
const OWNERS = {
  orphan: "left by a dead engine", foreign: "other processes", free: "free",
  reserved: "driver and contexts",
};

let shown = JSON.parse(document.getElementById("first").textContent);
let tag = null, failures = 0, problem = "", timer = 0;
let answeredAt = performance.now(), drawnAt = answeredAt, undrawn = false;
let madeAt = { server: shown.at, here: performance.now() };

const serverNow = () => madeAt.server + (performance.now() - madeAt.here) / 1000;

// --- words -----------------------------------------------------------------------------------

function duration(seconds) {
  const whole = Math.max(0, Math.round(seconds));
  const steps = [[86400, "d", 3600, "h"], [3600, "h", 60, "m"], [60, "m", 1, "s"]];
  for (const [size, unit, restSize, restUnit] of steps) {
    if (whole >= size) {
      const rest = Math.floor((whole % size) / restSize);
      return `${Math.floor(whole / size)}${unit}` + (rest ? ` ${rest}${restUnit}` : "");
    }
  }
  return `${whole}s`;
}

function bytes(count) {
  const units = ["B", "KiB", "MiB", "GiB", "TiB"];
  let value = Math.abs(count), at = 0;
  while (value >= 1024 && at < 4) { value /= 1024; at += 1; }
  return `${count < 0 ? "−" : ""}${value.toFixed(at ? 1 : 0)} ${units[at]}`;
}

const seconds = (s) => s < 1 ? `${Math.round(s * 1000)} ms` : `${s.toFixed(s < 10 ? 2 : 1)} s`;
const percent = (ratio) => `${Math.round(ratio * 100)} %`;
const own = (table, name) => Object.hasOwn(table, name) ? table[name] : null; // names are as people like
const some = (value, say) => value === null || value === undefined ? null : say(value);
const sentence = (text) => /[.!?)]$/.test(text) ? text : `${text}.`;
const clock = (at) => new Date(at * 1000).toLocaleTimeString([], { hourCycle: "h23" });

// --- elements: a description first, then the least that makes the page look like it ------------

function h(name, attributes, ...children) {
  return { name, attributes: attributes || {}, children: children.flat(9).filter((c) => c !== null) };
}

const DRAWN = { svg: true, path: true };

function made(wanted) {
  return typeof wanted === "string" ? document.createTextNode(wanted)
    : own(DRAWN, wanted.name) ? document.createElementNS("http://www.w3.org/2000/svg", wanted.name)
      : document.createElement(wanted.name);
}

function same(node, wanted) {
  return typeof wanted === "string" ? node.nodeType === Node.TEXT_NODE
    : node.nodeType === Node.ELEMENT_NODE && node.localName === wanted.name;
}

function become(parent, wanted) {
  wanted.forEach((each, index) => {
    let node = parent.childNodes[index];
    if (!node || !same(node, each)) {
      const fresh = made(each);
      if (node) { parent.replaceChild(fresh, node); } else { parent.appendChild(fresh); }
      node = fresh;
    }
    if (typeof each === "string") {
      if (node.data !== each) { node.data = each; }
      return;
    }
    const { width, ...attributes } = each.attributes;
    for (const { name } of [...node.attributes]) {
      if (!Object.hasOwn(attributes, name) && name !== "style") { node.removeAttribute(name); }
    }
    for (const [name, value] of Object.entries(attributes)) {
      if (node.getAttribute(name) !== String(value)) { node.setAttribute(name, value); }
    }
    node.style.width = width === undefined ? "" : `${(width * 100).toFixed(2)}%`;
    become(node, each.children);
  });
  while (parent.childNodes.length > wanted.length) { parent.lastChild.remove(); }
}

// --- parts of the page -----------------------------------------------------------------------

function verdict() {
  const wanted = shown.engines.filter((e) => e.wanted);
  const away = wanted.filter((e) => !e.up);
  const loads = away.length && away.every(waits);
  const names = away.map((e) => e.name);
  const all = wanted.length === 2 ? "Both" : `All ${wanted.length}`;
  let text = wanted.length === 1 ? `${wanted[0].name} serves` : `${all} engines serve`;
  if (!shown.engines.length) { text = "No engine is configured"; }
  else if (!wanted.length) { text = "No engine is meant to run"; }
  else if (away.length === 1) { text = `${names[0]} ${loads ? `is ${away[0].awaited_load ? "waiting for its turn" : away[0].state}` : "does not serve"}`; }
  else if (away.length) {
    text = `${away.length} of ${wanted.length} engines do not serve: ${names.join(", ")}`;
  }
  return [h("p", { class: `verdict${away.length && !loads ? " bad" : ""}` }, text)];
}

function conditions() {
  if (!shown.conditions.length) { return []; }
  return [h("section", { "aria-label": "What needs attention" }, h("ul", { class: "conditions" },
    shown.conditions.map((c) => h("li", { class: c.severity },
      h("span", { class: "severity" }, c.severity), h("p", null, sentence(c.text)),
      h("a", { href: c.runbook, "aria-label": `Runbook ${c.alert}` }, "runbook")))))];
}

function stateClass(engine) {
  if (engine.up) { return "good"; }
  if (waits(engine)) { return "wait"; }
  // one that is ready and not up has just ended, or its group takes no requests
  if ([...FAILED_STATES, "ready"].includes(engine.state)
      || (engine.wanted && engine.state === "stopped")) {
    return "bad";
  }
  return "";
}

const COLUMNS = [
  ["Running", "n", (e) => some(e.requests_running, String)],
  ["Waiting", "n", (e) => some(e.requests_waiting, String)],
  ["Tokens/s", "n", (e) => some(e.tokens_per_s, (v) => v.toFixed(v < 10 ? 1 : 0))],
  ["TTFT p95", "n", (e) => some(e.ttft_p95_s, seconds)],
  ["ITL p95", "n", (e) => some(e.itl_p95_s, seconds)],
  ["KV cache", "n", (e) => some(e.kv_cache_usage, percent)],
  ["GPU memory", "n", (e) => some(e.gpu_memory_bytes, bytes)],
  ["Restart margin", "n", (e) => some(e.restart_margin_bytes, bytes)],
  ["Restarts", "n", (e) => String(e.restarts)],
  ["Adapters", "n", (e) => some(e.adapters, (a) => `${a.loaded} of ${a.wanted}`)],
  ["vLLM", "n", (e) => e.vllm_version],
];

function row(engine) {
  const since = duration(serverNow() - engine.since);
  const state = engine.looked_for ? engine.state : "not known yet";
  return h("tr", { class: "engine", role: "row" },
    h("th", { scope: "row", role: "rowheader" }, engine.name,
      h("span", { class: "model" }, engine.served_names.join(", "))),
    h("td", { class: "stated", role: "cell", "data-label": "State" },
      h("span", { class: `state ${stateClass(engine)}` }, state), ` for ${since}`),
    COLUMNS.map(([label, kind, of]) => {
      const text = of(engine);
      const below = label === "Restart margin" && engine.restart_margin_bytes < 0 ? " below" : "";
      return h("td", { class: `${kind}${text === null ? " none" : below}`, role: "cell",
        "data-label": label }, text === null ? "–" : text);
    }));
}

function loadOf(engine) {
  if (!engine.phase) { return []; }
  const left = some(engine.start_left_s, (s) => {
    const passed = (performance.now() - madeAt.here) / 1000;
    return `, about ${duration(Math.max(0, s - passed))} left`;
  });
  const bar = some(engine.progress, (share) => h("span", { class: "bar progress", "aria-hidden": "true" },
    h("i", { class: "e0", width: share })));
  return [h("li", null, `Loading: ${engine.phase}${left || ""}`, bar)];
}

function notes(engine) {
  const listed = loadOf(engine);
  const say = (text, quiet) => listed.push(h("li", quiet ? { class: "quiet" } : null, sentence(text)));
  if (engine.reason) { say(engine.reason[0].toUpperCase() + engine.reason.slice(1)); }
  if (engine.next_try_at !== null) {
    const left = engine.next_try_at - serverNow();
    say(left > 0 ? `Next try in ${duration(left)}, at ${clock(engine.next_try_at)}` : "The next try is due", true);
  } else if (engine.hold) { say(`It is not tried again by itself: 'vllmd start ${engine.name}' does it`, true); }
  for (const doubt of engine.doubts) { say(`${sentence(doubt.found)} ${doubt.fix}`, doubt.severity !== "error"); }
  if (engine.command_changed) {
    say(`It runs with an older configuration: 'vllmd restart ${engine.name}' brings the new one`, true);
  }
  if (engine.problem) { say(`There is a problem: 'vllmd status' on the host says which`); }
  return listed;
}

function engines() {
  if (!shown.engines.length) { return []; }
  const heads = ["Engine", "State", ...COLUMNS.map(([label]) => label)];
  const rows = shown.engines.flatMap((engine) => {
    const listed = notes(engine);
    const note = listed.length ? [h("tr", { class: "note", role: "row" },
      h("td", { colspan: heads.length, role: "cell" }, h("ul", null, listed)))] : [];
    return [row(engine), ...note];
  });
  return [h("section", { "aria-labelledby": "engines" }, h("h2", { id: "engines" }, "Engines"),
    h("table", { role: "table", "aria-labelledby": "engines" },
      h("thead", { role: "rowgroup" }, h("tr", { role: "row" }, heads.map((label, at) =>
        h("th", { scope: "col", role: "columnheader", class: at > 1 ? "n" : "" }, label)))),
      h("tbody", { role: "rowgroup" }, rows)))];
}

function failed() {
  const ends = shown.engines.filter((e) => e.last_exit && !e.last_exit.requested);
  if (!ends.length) { return []; }
  return [h("section", { "aria-labelledby": "failures" },
    h("h2", { id: "failures" }, "Last failures"), ends.map(failure))];
}

function failure(engine) {
  const last = engine.last_exit, first = engine.first_failure;
  const ago = (end) => `${duration(serverNow() - end.at)} ago`;
  const listed = [];
  const say = (label, text) => listed.push(h("dt", null, label), h("dd", null, text));
  say("What", sentence(last.text[0].toUpperCase() + last.text.slice(1)));
  if (last.diagnosis) {
    say("Why", `${last.diagnosis.explanation} (${last.diagnosis.cause})`);
    say("Next", last.diagnosis.advice);
  }
  if (first && first.at !== last.at) {
    const why = first.diagnosis ? `: ${first.diagnosis.explanation}` : "";
    say("First", `The failures began ${ago(first)}${why}`);
  }
  say("More", h("code", null, `vllmd why ${engine.name}`));
  return h("div", { class: "failure" },
    h("h3", null, `${engine.name}, ${ago(last)}`), h("dl", null, listed));
}

function ownerOf(part) {
  if (part.engine === null) {
    return { label: own(OWNERS, part.owner) || part.owner,
      kind: ["orphan", "foreign", "free"].includes(part.owner) ? part.owner : "other" };
  }
  const at = shown.engines.findIndex((e) => e.name === part.engine);
  const kind = `e${Math.max(0, at) % 6}`;
  return part.owner === "weights" ? { label: `weights of ${part.engine}`, kind: `${kind} weights` }
    : { label: part.engine, kind };
}

function partsOf(owners) {
  const names = shown.engines.map((e) => e.name);
  const place = ({ owner, engine }) => owner === "free" ? 3 : owner === "reserved" ? 2
    : engine === null ? 1 : (names.indexOf(engine) - names.length) / (names.length + 1);
  const reserved = { owner: "reserved", engine: null, bytes: 0 }, parts = [];
  for (const part of owners) {
    if (part.owner === "reserved" || part.owner === "unattributed") {
      reserved.bytes += part.bytes;
    } else { parts.push(part); }
  }
  if (reserved.bytes) { parts.push(reserved); }
  return parts.sort((a, b) => place(a) - place(b));
}

function gpu(device) {
  const total = device.memory_total_bytes, parts = partsOf(device.owners);
  const bars = total ? parts.filter((p) => p.owner !== "free").map((p) =>
    h("i", { class: ownerOf(p).kind, width: p.bytes / total })) : [];
  const owners = parts.map((p) => {
    const { label, kind } = ownerOf(p);
    const quiet = p.engine === null && kind !== "orphan" && kind !== "foreign";
    return h("li", quiet ? { class: "quiet" } : null, h("i", { class: kind }), `${label} ${bytes(p.bytes)}`);
  });
  const figures = [
    some(device.busy_ratio, (v) => `${percent(v)} busy`),
    some(device.power_watts, (v) => `${Math.round(v)} W`),
    some(device.temperature_celsius, (v) => `${Math.round(v)} °C`),
  ].filter((text) => text !== null);
  return h("li", null,
    h("h3", null, `GPU ${device.gpu}`, h("span", null, device.name)),
    h("div", { class: "memory" },
      device.lost ? h("p", { class: "lost" }, `It cannot be read: ${device.lost}${lostFor(device)}`) : null,
      bars.length ? h("div", { class: "bar", "aria-hidden": "true" }, bars) : null,
      owners.length ? h("ul", { class: "owners", "aria-label": `Memory of GPU ${device.gpu}` }, owners) : null),
    h("p", { class: "figures" }, figures.join(" · ")));
}

function lostFor(device) {
  return device.lost_since === null ? "" : `, for ${duration(serverNow() - device.lost_since)}`;
}

function gpus() {
  const reader = shown.gpu_reader;
  if (!shown.gpus.length && !reader.problem) { return []; }
  return [h("section", { "aria-labelledby": "gpus" }, h("h2", { id: "gpus" }, "GPUs"),
    reader.problem ? h("p", null, sentence(reader.problem[0].toUpperCase() + reader.problem.slice(1))) : null,
    shown.gpus.length ? h("ul", { class: "gpus" }, shown.gpus.map(gpu)) : null)];
}

// --- drawing, asking -------------------------------------------------------------------------

function freshness() {
  const ago = (performance.now() - drawnAt) / 1000, old = failures || undrawn;
  const stale = document.getElementById("stale");
  const at = clock(Date.now() / 1000 - ago);
  document.getElementById("fresh").textContent = old
    ? `stale since ${at}` : ago < 2 ? "updated now" : `updated ${duration(ago)} ago`;
  stale.hidden = !old;
  if (!old) { return; }
  document.title = `Stale: ${shown.daemon.host}: vllmd`;
  const why = failures ? problem : "vllmd answers, but this page cannot show it: load it again";
  const text = `Stale since ${at}: ${why}. What follows is what was known then.`;
  if (stale.textContent !== text) { stale.textContent = text; }
}

function draw() {
  const daemon = shown.daemon;
  document.getElementById("about").textContent =
    `vllmd ${daemon.version}, up ${duration(serverNow() - daemon.started_at)}`;
  become(document.getElementById("main"),
    [...verdict(), ...conditions(), ...engines(), ...failed(), ...graphs(), ...gpus()]);
  const bad = shown.conditions.length;
  document.title = `${bad ? `(${bad}) ` : ""}${daemon.host}: vllmd`;
}

function show(fresh) { // what cannot be drawn is said, and does not end the asking
  try {
    if (fresh) { take(fresh); }
    draw();
    undrawn = false;
    drawnAt = answeredAt;
  } catch (error) {
    undrawn = true;
  }
  freshness();
}

function changes(before, after) {
  const states = new Map(before.engines.map((e) => [e.name, e.state]));
  const said = after.engines.filter((e) => states.has(e.name) && states.get(e.name) !== e.state)
    .map((e) => `${e.name} is ${e.state}.`);
  const known = new Set(before.conditions.map((c) => `${c.alert} ${c.engine} ${c.gpu}`));
  for (const c of after.conditions) {
    if (!known.has(`${c.alert} ${c.engine} ${c.gpu}`)) { said.push(sentence(c.text)); }
  }
  return said.join(" ");
}

function take(fresh) {
  if (fresh.daemon.version !== shown.daemon.version) { location.reload(); } // as its script may be
  const before = shown;
  shown = fresh;
  madeAt = { server: fresh.at, here: performance.now() };
  const said = changes(before, fresh);
  if (said) { document.getElementById("news").textContent = said; }
}

async function ask() {
  const late = performance.now() - answeredAt > LONGEST_MS; // it may have slept: begin anew
  const stop = new AbortController(), limit = setTimeout(() => stop.abort(), TIMEOUT_MS);
  let fresh = null;
  try {
    const headers = tag && !late ? { "If-None-Match": tag } : {};
    const answer = await fetch("/status.json?series", { headers, cache: "no-store", signal: stop.signal });
    if (answer.status !== 304) {
      if (!answer.ok) { throw new Error(`vllmd answered ${answer.status}`); }
      fresh = await answer.json();
      tag = answer.headers.get("ETag");
    }
    failures = 0;
    answeredAt = performance.now();
  } catch (error) {
    failures += 1;
    problem = /^vllmd answered/.test(error.message) ? error.message : "vllmd does not answer";
  } finally {
    clearTimeout(limit);
  }
  show(fresh);
  plan(Math.min(LONGEST_MS, EVERY_MS * 2 ** failures));
}

function plan(afterMs) {
  clearTimeout(timer);
  timer = document.hidden ? 0 : setTimeout(ask, afterMs);
}

document.addEventListener("visibilitychange", () => { if (!document.hidden) { ask(); } });
setInterval(() => { if (!document.hidden) { show(null); } }, 1000);
show(null);
plan(0); // the document that came with the page has no series
