"use strict";
// Keys, names and errors are anybody's text: they are only ever set as text.
const EVERY = 2000, KEPT = 150, SVG = "http://www.w3.org/2000/svg";
const byId = id => document.getElementById(id);
const el = (tag, set = {}, ...children) => {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(set)) {
    if (name === "class") made.className = value; else if (name === "text") made.textContent = value; else made.setAttribute(name, value);
  }
  made.append(...children);
  return made;
};
const setText = (node, text) => { if (node.textContent !== String(text)) node.textContent = text; };
const number = value => value.toLocaleString("en-US").replaceAll(",", "\u202f");
const time = ms => {
  if (ms == null) return "\u2013";
  if (ms < 0.95) return ms === 0 ? "0" : "<1 ms";
  if (ms < 999.5) return Math.round(ms) + " ms";
  if (ms < 9950) return (ms / 1000).toFixed(1) + " s";
  if (ms < 120000) return Math.round(ms / 1000) + " s";
  return Math.round(ms / 60000) + " min";
};
const clock = at => new Date(at).toLocaleTimeString([], { hour: "2-digit", minute: "2-digit", second: "2-digit", hourCycle: "h23" });
const limit = max => max == null ? "none" : number(max);

// ---- Rows that stay as long as what they show, so that nothing flickers ----

const kept = (store, name, make) => { if (!store.has(name)) store.set(name, make()); return store.get(name); };
const arrange = (parent, nodes) => {
  nodes.forEach((node, at) => { if (parent.children[at] !== node) parent.insertBefore(node, parent.children[at] ?? null); });
  while (parent.children.length > nodes.length) parent.lastElementChild.remove();
};
const prune = (store, names) => { for (const name of store.keys()) if (!names.has(name)) store.delete(name); };
const cell = (row, name, label, kind = "") => {
  const made = el("td", { class: kind, role: "cell", "data-field": name });
  if (label) made.dataset.label = label;
  row.append(made);
  return made;
};
const table = (columns, caption) => {
  const body = el("tbody", { role: "rowgroup" });
  const heads = columns.map(([text, kind]) => el("th", { scope: "col", role: "columnheader", class: kind ?? "", text }));
  const made = el("table", { role: "table" }, el("caption", { class: "sr", text: caption }),
    el("thead", { role: "rowgroup" }, el("tr", { role: "row" }, ...heads)), body);
  return [el("div", { class: "scroll" }, made), body];
};
const count = (node, value, kind) => { setText(node, number(value)); node.className = value ? kind ?? "" : "zero"; };

// ---- Bars and plots ----

const bar = parts => {
  const made = el("div", { class: "bar", role: "img" });
  const pieces = parts.map(part => made.appendChild(el("i", { class: part })));
  const mark = made.appendChild(el("b"));
  return { made, show(values, max, said) {
    const whole = Math.max(max ?? 0, values.reduce((sum, value) => sum + value, 0), 1);
    pieces.forEach((piece, at) => { piece.style.width = 100 * values[at] / whole + "%"; });
    mark.hidden = max == null || max >= whole;
    mark.style.left = 100 * (max ?? 0) / whole + "%";
    made.setAttribute("aria-label", said);
    made.title = said;
  } };
};
const WIDE = 150, HIGH = 30;
const plot = lines => {
  const made = document.createElementNS(SVG, "svg"), scale = el("span", { class: "scale", "aria-hidden": "true" });
  for (const [name, value] of [["viewBox", `0 0 ${WIDE} ${HIGH}`], ["preserveAspectRatio", "none"], ["role", "img"]]) made.setAttribute(name, value);
  const title = made.appendChild(document.createElementNS(SVG, "title"));
  const add = kind => {
    const path = made.appendChild(document.createElementNS(SVG, "path"));
    path.setAttribute("class", kind);
    return path;
  };
  add("axis").setAttribute("d", `M0 ${HIGH}H${WIDE}`);
  const paths = lines.map(([kind]) => add(kind));
  return { made, scale, show(series, most, said, top) {
    setText(title, said);
    setText(scale, top);
    made.setAttribute("aria-label", said);
    paths.forEach((path, at) => path.setAttribute("d", trace(series[at], most, lines[at][1])));
  } };
};
// Right-aligned: the newest is at the right end, and a gap is a gap.
const trace = (values, most, filled) => {
  const x = at => (WIDE - (values.length - 1 - at) * WIDE / (KEPT - 1)).toFixed(1);
  const y = value => (HIGH - 1 - (HIGH - 2) * value / most).toFixed(1);
  let path = "", from = null;
  for (let at = 0; at <= values.length; at++) {
    const here = at < values.length && values[at] != null;
    if (here && from == null) { from = at; path += filled ? `M${x(at)} ${HIGH}L${x(at)} ${y(values[at])}` : `M${x(at)} ${y(values[at])}`; }
    else if (here) path += `L${x(at)} ${y(values[at])}`;
    else if (from != null) { if (filled) path += `L${x(at - 1)} ${HIGH}Z`; from = null; }
  }
  return path;
};
const most = values => values.reduce((most, value) => Math.max(most, value ?? 0), 0);

// ---- The history, as the server told it, some of it before ----

const FIELDS = ["idle", "in_use", "waiting", "max_size", "p50", "p95", "p99"];
const histories = new Map();
let next = 0, samples = 0, began = null;
const remember = details => {
  const fresh = details.history.times.length, again = details.history.began !== began;
  if (again || next === 0) { histories.clear(); samples = 0; }
  // After a restart some is missing: all of it comes with the next answer.
  next = again && next > 0 ? 0 : details.history.next;
  began = details.history.began;
  samples = Math.min(KEPT, samples + fresh);
  const seen = new Set();
  for (const pool of details.pools) for (const key of pool.keys) {
    const id = JSON.stringify([pool.name, key.key]);
    seen.add(id);
    const history = kept(histories, id, () => Object.fromEntries(FIELDS.map(field => [field, []])));
    for (const field of FIELDS) {
      const all = history[field].concat(key.history ? key.history[field] : Array(fresh).fill(null));
      // What others have and this one was not there for.
      history[field] = all.slice(-samples);
    }
  }
  prune(histories, seen);
};

// ---- The verdict: whether a pool is the bottleneck, and why ----

// A wait that one in twenty leases had, and that nobody should have to look for.
const LONG_MS = 100;
const listed = words => words.slice(0, 3).join("; ") + (words.length > 3 ? `; and ${words.length - 3} more` : "") + ".";
const whyWaits = (pool, key) => {
  const taken = key.in_use + key.creating + key.checking + key.unhealthy;
  const host = pool.hosts.find(host => host.host === key.host && host.max != null && host.in_use >= host.max);
  const used = pool.keys.reduce((sum, key) => sum + key.in_use, 0);
  const waits = `${number(key.waiting)} waiting`;
  if (taken >= key.max_size) return { full: true, text: `${key.key}: ${number(key.in_use)} of ${number(key.max_size)} in use, ${waits}` };
  if (pool.max_total != null && used >= pool.max_total) return { full: true, text: `${key.key}: ${waits}, ${pool.name} has all ${number(pool.max_total)} of its max_total in use` };
  if (host) return { full: true, text: `${key.key}: ${waits}, ${host.host} has all ${number(host.max)} of its max_per_host in use` };
  return { full: false, text: `${key.key}: ${waits}` };
};
const verdict = details => {
  const closed = details.pools.filter(pool => pool.closed).map(pool => pool.name);
  if (closed.length) return ["closed", closed.length === 1 ? "A pool is closed." : "Pools are closed.", listed(closed)];
  const shut = (details.sockets ?? []).filter(it => it.closed).map(it => it.name);
  if (shut.length) return ["closed", "WebSockets are closed.", listed(shut)];
  const keys = details.pools.flatMap(pool => pool.keys.map(key => ({ pool, key }))).sort((a, b) => b.key.waiting - a.key.waiting);
  const waits = keys.filter(({ key }) => key.waiting).map(({ pool, key }) => whyWaits(pool, key));
  const full = waits.filter(it => it.full).map(it => it.text);
  if (full.length) return ["full", "The pool is the bottleneck.", listed(full)];
  const rests = details.groups.flatMap(group => group.endpoints.filter(it => it.health === "resting").map(it => `${it.name} of ${group.name} rests${it.why ? `, ${it.why}` : ""}`));
  const short = details.groups.filter(group => group.waiting).map(group => `${group.name}: ${number(group.waiting)} waiting for an endpoint`);
  if (short.length) return ["full", "Endpoints are the bottleneck.", listed([...short, ...rests])];
  if (waits.length) return ["waits", "Callers wait, and no limit is reached.", listed(waits.map(it => it.text))];
  const held = (details.sockets ?? []).filter(it => it.waiting).map(it => `${it.name}: ${number(it.waiting)} waiting`);
  if (held.length) return ["waits", "Callers wait for WebSockets.", listed(held)];
  const slow = keys.filter(({ key }) => key.wait_ms.p95 >= LONG_MS).map(({ key }) => `in the last minute one in twenty leases of ${key.key} waited ${time(key.wait_ms.p95)} or longer`);
  if (slow.length) return ["waits", "Nobody waits now.", listed([...slow, ...rests]).replace("in the", "In the")];
  if (rests.length) return ["waits", "No pool is the bottleneck.", listed(rests)];
  return ["well", "No pool is the bottleneck.", "Nobody waits."];
};
const showVerdict = details => {
  const [name, head, why] = verdict(details);
  byId("verdict").dataset.state = name;
  byId("verdict").hidden = false;
  setText(byId("verdict-head"), head);
  setText(byId("verdict-why"), why);
};

// ---- Sections ----

const sums = new Map();
const SUMS = [["in_use", "In use"], ["idle", "Idle"], ["waiting", "Waiting"], ["making", "Creating, checking"], ["unhealthy", "Unhealthy"], ["max", "Max"]];
// What a pool can have in use at one time: its keys together may be allowed less than each alone.
const room = pool => Math.min(pool.max_total ?? Infinity, pool.keys.reduce((sum, key) => sum + key.max_size, 0));
const showSums = details => {
  const keys = details.pools.flatMap(pool => pool.keys);
  const sum = of => keys.reduce((sum, key) => sum + of(key), 0);
  const values = { in_use: sum(key => key.in_use), idle: sum(key => key.idle), waiting: sum(key => key.waiting), making: sum(key => key.creating + key.checking), unhealthy: sum(key => key.unhealthy), max: details.pools.reduce((sum, pool) => sum + room(pool), 0) };
  arrange(byId("sums"), SUMS.map(([name, label]) => {
    const row = kept(sums, name, () => {
      const term = el("dt", {}, ...(name === "max" ? [] : [el("span", { class: "swatch " + name })]), label);
      const value = el("span"), more = el("small");
      return { made: el("div", { id: "sum-" + name }, term, el("dd", {}, value, " ", more)), value, more };
    });
    setText(row.value, number(values[name]));
    setText(row.more, name === "in_use" && values.max ? Math.round(100 * values.in_use / values.max) + " %" : name === "max" ? `in ${keys.length} ${keys.length === 1 ? "key" : "keys"}` : "");
    return row.made;
  }));
  document.title = (values.waiting ? `(${values.waiting}) ` : "") + "llm-pool";
};

const PARTS = ["in_use", "making", "unhealthy", "idle", "space", "waiting"];
const pools = new Map(), rows = new Map();
const makePool = name => {
  const title = el("h2", { text: name }), limits = el("p"), hosts = el("p");
  const [scroll, body] = table([["Key", "name"], ["Items and waiting", "text wide"], ["In use"], ["Idle"], ["Waiting"], ["Max"], ["Use, 5 min", "plot h"], ["Wait, 5 min", "plot"], ["p50", "k50"], ["p95", "k95 h"], ["p99", "k99"]], "Keys of " + name);
  const none = el("p", { class: "none", text: "No key was asked for so far." });
  return { made: el("section", { "data-pool": name, "aria-label": "Pool " + name }, el("header", {}, title, limits, hosts), scroll, none), limits, hosts, body, none, scroll };
};
const makeKey = (pool, key) => {
  const row = el("tr", { role: "row", "data-pool": pool, "data-key": key });
  const note = el("small"), items = bar(PARTS);
  row.append(el("th", { scope: "row", role: "rowheader", class: "name" }, el("span", { text: key }), note));
  cell(row, "items", "", "wide text").append(items.made);
  const cells = {};
  for (const [name, label] of [["in_use", "In use"], ["idle", "Idle"], ["waiting", "Waiting"], ["max_size", "Max"]]) cells[name] = cell(row, name, label);
  const use = plot([["queue", true], ["used", true], ["cap", false]]), wait = plot([["p99", true], ["p95", false], ["p50", false]]);
  cell(row, "use", "Use, 5 min", "plot h").append(use.scale, use.made);
  cell(row, "wait", "Wait, 5 min", "plot").append(wait.scale, wait.made);
  for (const name of ["p50", "p95", "p99"]) cells[name] = cell(row, name, "Wait " + name, name === "p95" ? "h" : "");
  return { made: row, note, items, cells, use, wait };
};
const showKey = (pool, key) => {
  const id = JSON.stringify([pool, key.key]);
  const row = kept(rows, id, () => makeKey(pool, key.key));
  const making = key.creating + key.checking, items = key.in_use + making + key.unhealthy + key.idle;
  const said = `${key.in_use} in use, ${key.idle} idle, ${making} created or checked, ${key.unhealthy} unhealthy, ${key.waiting} waiting, at most ${key.max_size}`;
  row.items.show([key.in_use, making, key.unhealthy, key.idle, Math.max(0, key.max_size - items), key.waiting], key.max_size, said);
  count(row.cells.in_use, key.in_use); count(row.cells.idle, key.idle); count(row.cells.waiting, key.waiting, "hot"); count(row.cells.max_size, key.max_size);
  for (const name of ["p50", "p95", "p99"]) { setText(row.cells[name], time(key.wait_ms[name])); row.cells[name].classList.toggle("zero", !key.wait_ms[name]); }
  const notes = [];
  if (key.timeouts) notes.push(number(key.timeouts) + " timed out");
  if (key.refused) notes.push(number(key.refused) + " refused");
  if (key.create_failures) notes.push(number(key.create_failures) + " not created");
  if (key.unhealthy && key.last_check_error) notes.push(key.last_check_error);
  setText(row.note, notes.join(", ") || number(key.gets) + " leases");
  row.note.classList.toggle("bad", notes.length > 0);
  const history = histories.get(id);
  const demand = history.in_use.map((value, at) => value == null ? null : value + history.waiting[at]);
  const tall = Math.max(most(demand), most(history.max_size), 1);
  row.use.show([demand, history.in_use, history.max_size], tall, `In use and waiting over the last minutes, ${most(demand)} together at most`, number(tall));
  const longest = most(history.p99);
  row.wait.show([history.p99, history.p95, history.p50], longest || 1, `Wait over the last minutes, p99 at most ${time(longest)}`, longest ? time(longest) : "");
  return row.made;
};
const showPools = details => {
  const names = new Set();
  arrange(byId("pools"), details.pools.map(pool => {
    const shown = kept(pools, pool.name, () => makePool(pool.name));
    const words = [`at most ${limit(pool.max_total)} in use over all keys`];
    if (pool.max_open != null) words.push(`${number(pool.open)} of ${limit(pool.max_open)} open`);
    if (pool.closed) words.unshift("closed");
    setText(shown.limits, words.join(", "));
    const full = pool.hosts.filter(host => host.max != null).map(host => `${host.host} ${number(host.in_use)} of ${number(host.max)}`);
    setText(shown.hosts, full.length ? "by host: " + full.slice(0, 4).join(", ") : "");
    pool.keys.forEach(key => names.add(JSON.stringify([pool.name, key.key])));
    arrange(shown.body, pool.keys.map(key => showKey(pool.name, key)));
    shown.none.hidden = pool.keys.length > 0;
    shown.scroll.hidden = pool.keys.length === 0;
    return shown.made;
  }));
  prune(rows, names);
};

const groups = new Map(), endpoints = new Map();
const HEALTH = { well: "well", resting: "rests", probing: "is probed" };
const makeGroup = name => {
  const waiting = el("p");
  const [scroll, body] = table([["Endpoint", "name"], ["Health", "text health"], ["Calls", "text wide"], ["In use"], ["Max"], ["Served"], ["Failed"], ["p50"], ["p95", "h"], ["p99"]], "Endpoints of " + name);
  return { made: el("section", { "data-group": name, "aria-label": "Endpoints of " + name }, el("header", {}, el("h2", { text: name }), el("p", { text: "endpoints" }), waiting), scroll), waiting, body };
};
const makeEndpoint = (group, name) => {
  const row = el("tr", { role: "row", "data-group": group, "data-endpoint": name });
  const left = el("small"), pill = el("span", { class: "pill" }), why = el("small"), calls = bar(["in_use"]), cells = {};
  row.append(el("th", { scope: "row", role: "rowheader", class: "name" }, el("span", { text: name }), left));
  cell(row, "health", "", "text health").append(pill, why);
  cell(row, "calls", "", "wide text").append(calls.made);
  for (const [at, label] of [["in_use", "In use"], ["most", "Max"], ["successes", "Served"], ["failures", "Failed"], ["p50", "p50"], ["p95", "p95"], ["p99", "p99"]]) cells[at] = cell(row, at, label, at === "p95" ? "h" : "");
  return { made: row, left, pill, why, calls, cells };
};
const showEndpoint = (group, it) => {
  const row = kept(endpoints, JSON.stringify([group, it.name]), () => makeEndpoint(group, it.name));
  const rest = it.health === "resting" ? it.rest_ms > 0 ? " for " + time(it.rest_ms) : " until a call" : "";
  setText(row.pill, HEALTH[it.health] + rest);
  row.pill.className = "pill " + it.health;
  setText(row.why, it.why ?? (it.limited_ms != null ? "at its rate for " + time(it.limited_ms) : ""));
  const left = [];
  if (it.requests_left != null) left.push(number(it.requests_left) + " requests left");
  if (it.tokens_left != null) left.push(number(it.tokens_left) + " tokens left");
  if (it.rests) left.push(it.rests === 1 ? "rested once" : `rested ${number(it.rests)} times`);
  setText(row.left, left.join(", "));
  row.calls.show([it.in_use], it.max_in_use ?? Math.max(it.in_use, 1), `${it.in_use} calls, at most ${limit(it.max_in_use)}`);
  count(row.cells.in_use, it.in_use); count(row.cells.successes, it.successes); count(row.cells.failures, it.failures, "bad");
  setText(row.cells.most, limit(it.max_in_use));
  for (const name of ["p50", "p95", "p99"]) setText(row.cells[name], time(it.latency_ms[name]));
  return row.made;
};
const showGroups = details => arrange(byId("groups"), details.groups.map(group => {
  const shown = kept(groups, group.name, () => makeGroup(group.name));
  setText(shown.waiting, group.waiting ? number(group.waiting) + " waiting for an endpoint" : "");
  arrange(shown.body, group.endpoints.map(it => showEndpoint(group.name, it)));
  return shown.made;
}));

const showAdvice = details => {
  const several = details.pools.length > 1;
  const texts = details.advice.map(it => (several ? it.pool + ": " : "") + it.text);
  const list = byId("advice");
  if (JSON.stringify(texts) !== list.dataset.shown) {
    list.dataset.shown = JSON.stringify(texts);
    list.replaceChildren(...texts.map(text => el("li", { text })));
  }
  byId("no-advice").hidden = texts.length > 0;
};

const events = new Map();
// Events that follow each other and differ in figures only are one line with their number: a hundred
// time-outs would leave no place for what came before them.
const runsOf = all => {
  const runs = [];
  for (const it of all) {
    const same = JSON.stringify([it.pool, it.kind, it.text.replace(/[0-9][0-9.]*/g, "0")]), run = runs.at(-1);
    if (run?.same === same) { run.count++; run.first = it; } else runs.push({ same, newest: it, first: it, count: 1 });
  }
  return runs;
};
const makeEvent = ({ newest: it }) => {
  const at = el("time"), times = el("small"), why = el("span", { class: "why" });
  const made = el("li", { "data-kind": it.kind }, at, el("span", { class: it.bad ? "bad" : "" }, it.kind, times),
    el("span", { class: "where", text: it.pool }), why);
  return { made, at, times, why };
};
const showEvents = details => {
  byId("events-section").hidden = details.events == null;
  const all = details.events ?? [], list = byId("events"), names = new Set();
  byId("no-events").hidden = all.length > 0;
  list.hidden = all.length === 0;
  // A line is known by its first event, and by its place among those that look the same.
  const lines = runsOf(all).reverse().map(run => {
    let name = "", at = 0;
    do name = JSON.stringify([run.first.at, run.same, at++]); while (names.has(name));
    names.add(name);
    const shown = kept(events, name, () => makeEvent(run)), it = run.newest;
    setText(shown.at, clock(it.at));
    shown.at.dateTime = shown.at.title = it.at;
    setText(shown.times, run.count > 1 ? ` \u00d7 ${number(run.count)}` : "");
    setText(shown.why, it.text === it.kind ? "" : it.text);
    return shown.made;
  });
  arrange(list, lines.reverse());
  prune(events, names);
  // What was there at first is not read out.
  setTimeout(() => list.setAttribute("aria-live", "polite"), 0);
};

// ---- Asking ----

const TOKEN = "llm-pool-token";
let token = "", timer = null, asking = null, last = null;
try { token = sessionStorage.getItem(TOKEN) ?? ""; } catch { /* kept in memory then */ }
const ask = async (path, method, signal, body) => {
  const headers = token ? { authorization: "Bearer " + token } : {};
  if (body) headers["content-type"] = "application/json";
  const answer = await fetch(path, { method, headers, body, signal, cache: "no-store", credentials: "omit" });
  const json = await answer.json();
  if (!answer.ok && !json.data) throw Object.assign(new Error(json.message), { status: answer.status });
  return json;
};
// Read out when it changes, and not with every time of day.
const state = (name, text, at = "") => { byId("live").dataset.state = name; setText(byId("state"), text); setText(byId("at"), at); };
const lost = error => {
  const refused = error.status === 401 || error.status === 403;
  if (refused && !byId("do").open) { byId("do").open = true; byId("token").focus(); }
  const since = last ? " What is shown is of " + clock(last) + "." : "";
  byId("banner").textContent = refused ? "These figures need the token: " + error.message : error.status ? "The server refused: " + error.message : "Cannot reach the server; trying again." + since;
  byId("banner").hidden = false;
  byId("main").classList.add("stale");
  state("lost", refused ? "needs a token" : "cannot reach the server");
};
const show = details => {
  remember(details);
  setText(byId("version"), details.version);
  showVerdict(details); showSums(details); showPools(details); showGroups(details); showSockets(details); showAdvice(details); showEvents(details);
  last = details.now;
  byId("banner").hidden = true;
  byId("main").classList.remove("stale");
  state("live", "live", clock(details.now));
};
const poll = async () => {
  clearTimeout(timer);
  asking?.abort();
  const mine = asking = new AbortController();
  const cut = setTimeout(() => mine.abort(), 8000);
  try { show((await ask("v1/pool/details?since=" + next, "GET", mine.signal)).data); }
  catch (error) { if (mine === asking) lost(error); }
  clearTimeout(cut);
  if (mine === asking && !document.hidden) timer = setTimeout(poll, EVERY);
};
document.addEventListener("visibilitychange", () => {
  if (!document.hidden) return poll();
  clearTimeout(timer);
  state("paused", "paused while hidden");
});
byId("token").value = token;
byId("form").addEventListener("submit", event => {
  event.preventDefault();
  token = byId("token").value.trim();
  try { sessionStorage.setItem(TOKEN, token); } catch { /* kept in memory then */ }
  poll();
});
const act = async (path, body) => {
  token = byId("token").value.trim() || token;
  setText(byId("done"), "\u2026");
  try { setText(byId("done"), (await ask(path, "POST", undefined, body && JSON.stringify(body))).message); }
  catch (error) { setText(byId("done"), error.status ? error.message : "cannot reach the server"); }
  poll();
};
for (const button of document.querySelectorAll("[data-post]")) button.addEventListener("click", () => act(button.dataset.post));
poll();
