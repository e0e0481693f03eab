
// ---- Registries of WebSockets, and what can be done to them ----

const registries = new Map(), idLists = new Map();
const SOCKETS = [["in_use", "In use"], ["total_connections", "Open"], ["waiting", "Waiting"], ["max_connections", "Max"]], WAYS = [["sent", "Sent"], ["received", "Received"]];
// What ends a socket in the course of things; the rest is worth a look.
const WELL = ["removed", "replaced", "evicted", "unused", "registry closed", "closed by the peer"];
const bytes = value => {
  let at = 0;
  while (value >= 999.5 && at < 5) { value /= 1000; at++; }
  return (at && value < 9.95 ? value.toFixed(1) : Math.round(value)) + " " + ["B", "kB", "MB", "GB", "TB", "PB"][at];
};
const [socketScroll, socketBody] = table([["Registry", "name"], ["Sockets and waiting", "text wide"], ...SOCKETS.map(([, label]) => [label]), ...WAYS.map(([, label]) => [label]), ["Ping p50"], ["Ping p95", "h"], ["Ping p99"]], "Registries of WebSockets");
const socketLists = el("div");
byId("sockets").append(socketScroll, socketLists);
const makeRegistry = name => {
  const row = el("tr", { role: "row", "data-sockets": name }), note = el("small"), items = bar(PARTS), cells = {}, ways = {};
  row.append(el("th", { scope: "row", role: "rowheader", class: "name" }, el("span", { text: name }), note));
  cell(row, "items", "", "wide text").append(items.made);
  for (const [field, label] of SOCKETS) cells[field] = cell(row, field, label);
  for (const [way, label] of WAYS) {
    const messages = el("span"), size = el("small");
    cell(row, way, label).append(messages, size);
    ways[way] = { messages, size };
  }
  for (const it of ["p50", "p95", "p99"]) cells[it] = cell(row, it, "Ping " + it, it === "p95" ? "h" : "");
  return { made: row, note, items, cells, ways };
};
const showRegistry = it => {
  const row = kept(registries, it.name, () => makeRegistry(it.name));
  const said = `${it.in_use} in use, ${it.connecting} being opened, ${it.idle} idle, ${it.waiting} waiting, at most ${it.max_connections}`;
  row.items.show([it.in_use, it.connecting, 0, it.idle, Math.max(0, it.max_connections - it.total_connections), it.waiting], it.max_connections, said);
  for (const [field] of SOCKETS) count(row.cells[field], it[field], field === "waiting" || (field === "total_connections" && it[field] >= it.max_connections) ? "hot" : "");
  for (const [way] of WAYS) {
    setText(row.ways[way].messages, number(it["messages_" + way]));
    setText(row.ways[way].size, bytes(it["bytes_" + way]));
  }
  for (const name of ["p50", "p95", "p99"]) { setText(row.cells[name], time(it.round_trip_ms[name])); row.cells[name].classList.toggle("zero", !it.round_trip_ms[name]); }
  const notes = Object.entries(it.closed_by_reason).filter(([why]) => !WELL.includes(why)).map(([why, times]) => `${why}: ${number(times)}`);
  if (it.reconnects_failed) notes.push(`not opened again: ${number(it.reconnects_failed)}`);
  if (it.connecting) notes.unshift(`${number(it.connecting)} being opened`);
  if (it.closed) notes.unshift("closed");
  setText(row.note, notes.join(", ") || `${number(it.opened)} opened, ${number(it.closed_total)} closed`);
  row.note.classList.toggle("bad", notes.length > 0);
  return row.made;
};
// Ids are asked for while their list is open, and never more than a page of them.
const makeIds = name => {
  const from = el("input", { type: "search", autocomplete: "off", spellcheck: "false", autocapitalize: "none" }), list = el("ul"), more = el("p", { class: "none" });
  const made = el("details", { class: "ids", "data-sockets": name }, el("summary", { text: "Ids of " + name }), el("label", {}, "From this id on", from), list, more);
  const fill = async () => {
    if (!made.open) return;
    const first = from.value;
    let told;
    try { told = (await ask("v1/sockets/details?" + new URLSearchParams({ sockets: name, from: first }), "GET")).data.sockets[0]; } catch { return; }
    // Typed on meanwhile: the answer to that comes too.
    if (from.value !== first) return;
    list.replaceChildren(...told.connection_ids.map(id => {
      const pick = el("button", { type: "button", title: "Choose this socket", text: id });
      if (told.states[id] !== "open") pick.append(el("small", { text: told.states[id] ?? "gone" }));
      pick.addEventListener("click", () => { byId("socket-of").value = name; byId("socket-id").value = id; byId("do").open = true; byId("close-socket").focus(); });
      return el("li", {}, pick);
    }));
    setText(more, told.next != null ? `More from ${told.next} on.` : told.connection_ids.length ? "" : "None.");
    more.hidden = !more.textContent;
  };
  made.addEventListener("toggle", fill);
  from.addEventListener("input", fill);
  return { made, list, fill };
};
const showSockets = details => {
  const all = details.sockets ?? [], names = new Set(all.map(it => it.name));
  for (const id of ["sockets-section", "socket-form", "sockets-json"]) byId(id).hidden = all.length === 0;
  arrange(socketBody, all.map(showRegistry));
  const lists = all.map(it => kept(idLists, it.name, () => makeIds(it.name)));
  arrange(socketLists, lists.map(it => it.made));
  // Not under the hand of who is about to choose one.
  for (const it of lists) if (!it.list.matches(":hover, :focus-within")) it.fill();
  const select = byId("socket-of");
  if (JSON.stringify([...names]) !== select.dataset.shown) {
    select.dataset.shown = JSON.stringify([...names]);
    select.replaceChildren(...[...names].map(text => el("option", { text, value: text })));
  }
  prune(registries, names);
  prune(idLists, names);
};
byId("check-sockets").addEventListener("click", () => act("v1/sockets/check"));
byId("socket-form").addEventListener("submit", event => {
  event.preventDefault();
  act("v1/sockets/close", { sockets: byId("socket-of").value, id: byId("socket-id").value });
});
