"use strict";
// Everything from the gateway is written as text, never as markup.
const byId = (id) => document.getElementById(id);
const make = (tag, properties, ...children) => {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(properties || {})) {
    if (name === "class") element.className = value;
    else element.setAttribute(name, value);
  }
  element.append(...children.filter((child) => child !== null && child !== undefined && child !== ""));
  return element;
};
const shown = new Map();
const render = (id, data, build) => {
  const fingerprint = JSON.stringify(data);
  if (shown.get(id) === fingerprint) return;
  shown.set(id, fingerprint);
  byId(id).replaceChildren(...build(data));
};
const rate = (value) => (value >= 100 ? Math.round(value).toLocaleString("en") : value >= 10 ? value.toFixed(1) : value > 0 ? value.toFixed(2) : "0");
const ago = (seconds) => {
  const span = Math.max(0, Date.now() / 1000 - seconds);
  if (span < 2) return "just now";
  if (span < 120) return `${Math.round(span)} s ago`;
  if (span < 7200) return `${Math.round(span / 60)} min ago`;
  if (span < 172800) return `${Math.round(span / 3600)} h ago`;
  return `${Math.round(span / 86400)} days ago`;
};
const milliseconds = (value) => (value === undefined ? ["–", ""] : value >= 1000 ? [(value / 1000).toFixed(2), "s"] : [value >= 100 ? value.toFixed(0) : value >= 10 ? value.toFixed(1) : value.toFixed(2), "ms"]);
const compact = (value) => (value >= 100 ? value.toFixed(0) : value >= 10 ? value.toFixed(1) : value.toFixed(2));
const table = (columns, rows) => make("table", {},
  make("thead", {}, make("tr", {}, ...columns.map(([name, kind]) => make("th", { scope: "col", class: kind || "" }, name)))),
  make("tbody", {}, ...rows.map((cells) => make("tr", {}, ...cells.map((cell, index) => make("td", { class: columns[index][1] || "" }, ...[cell].flat()))))));
const lines = (values, kind) => make("span", { class: `stack ${kind || ""}` }, ...values.map((value) => make("span", {}, value)));
const CLASSES = [["2xx", "k2"], ["3xx", "k3"], ["4xx", "k4"], ["5xx", "k5"], ["1xx", "k0"], ["none", "k0"]];
const bar = (classes, kind) => {
  const holder = make("div", { class: `bar ${kind || ""}` });
  const total = Object.values(classes).reduce((sum, value) => sum + value, 0);
  for (const [name, color] of CLASSES) {
    if (!classes[name]) continue;
    const piece = make("i", { class: color, title: `${name}: ${rate(classes[name])}/s` });
    piece.style.width = `${(100 * classes[name]) / total}%`;
    holder.append(piece);
  }
  return holder;
};

const readings = [];
const spark = (value) => {
  readings.push(value);
  if (readings.length > 90) readings.shift();
  const top = Math.max(1, ...readings) * 1.15;
  const start = 90 - readings.length;
  const points = readings.map((entry, index) => `${start + index},${(40 - (38 * entry) / top).toFixed(2)}`);
  const drawing = document.createElementNS("http://www.w3.org/2000/svg", "svg");
  drawing.setAttribute("viewBox", "0 0 89 40");
  drawing.setAttribute("preserveAspectRatio", "none");
  drawing.setAttribute("aria-hidden", "true");
  for (const [kind, outline] of [["area", `M${start},40 L${points.join(" L")} L89,40 Z`], ["edge", `M${points.join(" L")}`]]) {
    const path = document.createElementNS("http://www.w3.org/2000/svg", "path");
    path.setAttribute("class", kind);
    path.setAttribute("d", outline);
    drawing.append(path);
  }
  byId("spark").replaceChildren(drawing);
};

const showState = (data) => {
  const { table: held } = data;
  const [kind, word] = !held.loaded ? ["warn", "no table yet"] : !held.ready ? ["bad", "not ready"] : held.restored ? ["warn", "serving the last table"] : ["good", "ready"];
  byId("state").replaceChildren(
    make("span", { class: `pill ${kind}` }, word),
    make("span", {}, `table ${held.version ? `v${held.version}` : "–"}`),
    held.loaded ? make("span", {}, `changed ${ago(held.applied_at)}`) : "",
    make("span", {}, `${held.workers} worker${held.workers === 1 ? "" : "s"}`));
};

const showProblems = (data) => {
  // A controller's report tells the same and more; without one, the engine's own words are shown.
  const raw = data.problems.length ? [] : [
    ...data.rejected.map((message) => ({ message, object: "refused by the engine" })),
    ...data.gateways.flatMap((gateway) => gateway.listeners.filter((one) => one.error).map((one) => ({ message: one.error, object: `${gateway.key}/${one.name}` })))];
  const problems = [...(data.table.last_error ? [{ message: data.table.last_error, object: "table" }] : []), ...raw, ...data.problems];
  const section = byId("problems");
  section.hidden = problems.length === 0;
  section.classList.toggle("only-warnings", problems.every((problem) => problem.severity === "warning"));
  render("problems", problems, () => [
    make("h2", {}, problems.length === 1 ? "1 problem" : `${problems.length} problems`),
    make("ul", {}, ...problems.map((problem) => make("li", {},
      problem.object ? make("strong", {}, problem.object, " ") : "", problem.message,
      problem.remedy ? make("span", { class: "remedy" }, ` – ${problem.remedy}`) : "",
      problem.source ? make("span", { class: "mono soft" }, ` ${problem.source}`) : "")))]);
};

const showTraffic = (data) => {
  const { total } = data.rates;
  byId("requests").replaceChildren(rate(total.requests_per_second), make("small", {}, "a second"));
  spark(total.requests_per_second);
  render("latency", total.latency_ms, (latency) => ["p50", "p90", "p99"].map((name) => {
    const [figure, unit] = milliseconds(latency[name]);
    return make("div", {}, make("dt", {}, name), make("dd", {}, figure, make("small", {}, unit)));
  }));
  render("classes", total.classes, (classes) => [bar(classes), make("div", { class: "legend" },
    ...CLASSES.filter(([name]) => classes[name] || ["2xx", "4xx", "5xx"].includes(name)).map(([name, color]) => make("span", {}, make("i", { class: color }), `${name} ${rate(classes[name] || 0)}/s`)))]);
  byId("connections").replaceChildren(data.connections.active.toLocaleString("en"), make("small", {}, "open"));
  byId("connections-note").textContent = `${data.connections.accepted.toLocaleString("en")} accepted` + (data.connections.refused ? `, ${data.connections.refused.toLocaleString("en")} refused at a limit` : "");
};

const showGateways = (gateways) => (gateways.length ? gateways.map((gateway) => {
  const cut = gateway.key.indexOf("/");
  return make("article", { class: "card" },
    make("h3", {}, make("span", {}, `${gateway.key.slice(0, cut + 1)}`), gateway.key.slice(cut + 1)),
    table([["Listener"], ["Host"], ["Address"], ["Rules", "number"], ["Requests/s", "number"]], gateway.listeners.map((one) => [
      [make("span", { class: `dot ${one.bound ? "good" : "bad"}`, title: one.bound ? "bound" : one.error || "not bound" }), one.name],
      make("span", { class: "mono" }, one.hostname),
      make("span", { class: "mono" }, one.url),
      String(one.routes),
      rate(one.requests_per_second)])));
}) : [make("p", { class: "panel empty" }, "No gateway is configured.")]);

const limited = (rows, total, element) => [element, total > rows.length ? make("div", { class: "more" }, `${rows.length} of ${total.toLocaleString("en")} shown; search to narrow them down`) : ""];

const showBackends = ([rows, total]) => (rows.length ? limited(rows, total, table([["Backend"], ["Endpoints", "number"], ["Requests/s", "number"], ["Responses"], ["p50 / p99 ms", "number"], ["Failures", "number"]], rows.map((row) => [
  make("span", { class: "whole" }, make("span", { class: "mono" }, row.key), make("span", { class: "soft small" }, ` ${row.protocol}`)),
  row.endpoints ? String(row.endpoints) : make("span", { class: "chip bad" }, "none"),
  rate(row.traffic.requests_per_second),
  bar(row.traffic.classes, "small"),
  row.traffic.latency_ms.p50 === undefined ? "–" : `${compact(row.traffic.latency_ms.p50)} / ${compact(row.traffic.latency_ms.p99)}`,
  row.connect_failures ? make("span", { class: "chip bad", title: "connections that could not be opened" }, String(row.connect_failures)) : "0"]))) : [make("p", { class: "empty" }, "No backend.")]);

const showRoutes = ([rows, total]) => (rows.length ? limited(rows, total, table([["Host"], ["Match"], ["Goes to"], ["Route"], ["Requests/s", "number"]], rows.map((row) => [
  lines(row.hostnames, "mono"),
  lines(row.matches, "mono"),
  [lines(row.backends.length ? row.backends : ["–"], `mono ${row.failing ? "failing" : ""}`), ...row.filters.map((text) => make("span", { class: "chip" }, text))],
  [make("span", {}, row.key, row.name ? make("span", { class: "soft" }, ` “${row.name}”`) : ""), row.source ? make("div", { class: "mono soft small" }, row.source) : ""],
  rate(row.requests_per_second)]))) : [make("p", { class: "empty" }, "No route.")]);

const bytes = (value) => {
  const units = ["B", "kB", "MB", "GB", "TB"];
  const step = value < 1 ? 0 : Math.min(units.length - 1, Math.floor(Math.log10(value) / 3));
  return value ? `${step ? compact(value / 1000 ** step) : value} ${units[step]}` : "–";
};
const tally = (value, kind) => (value ? make("span", { class: `chip ${kind}` }, value.toLocaleString("en")) : "–");
const showEgress = ([rows, total]) => (rows.length ? limited(rows, total, table([["Who"], ["May reach"], ["Policy and rule"], ["Allowed", "number"], ["Would deny", "number"], ["Denied", "number"], ["Failed", "number"], ["Out / in", "number"]], rows.map((row) => [
  row.action ? row.who : make("span", { class: "soft" }, "everybody else"),
  row.action ? [row.action === "Deny" ? make("span", { class: "chip bad" }, "never") : "", make("span", { class: "mono" }, row.where)] : make("span", { class: "soft" }, row.policy ? "nothing: no rule allows it" : "nothing: under no policy"),
  [make("span", {}, row.policy || "no policy", row.rule ? `/${row.rule}` : ""), row.mode === "Report" ? make("span", { class: "chip warn" }, "Report") : "", row.source ? make("div", { class: "mono soft small" }, row.source) : ""],
  tally(row.allowed, "good"), tally(row.would_deny, "warn"), tally(row.denied, "bad"), tally(row.failed, "warn"),
  `${bytes(row.received)} / ${bytes(row.sent)}`]))) : [make("p", { class: "empty" }, "No rule says what may go out, so nothing does.")]);

const NEGATIVE = ["Conflicted", "OverlappingTLSConfig", "PartiallyInvalid"];
// "Conflicted" that is False is no news.
const chips = (conditions) => (conditions || []).filter((one) => one.status === "True" || !NEGATIVE.includes(one.type)).map((one) => {
  const fine = (one.status === "True") !== NEGATIVE.includes(one.type);
  const kind = one.status === "Unknown" ? "warn" : fine ? "good" : "bad";
  return make("span", { class: `chip ${kind}`, title: [one.reason, one.message].filter(Boolean).join(": ") }, fine ? one.type : `${one.type}: ${one.reason || one.status}`);
});
const showObjects = ([rows, total]) => (rows.length ? limited(rows, total, table([["Kind"], ["Name"], ["Conditions"], ["Source"]], rows.map((row) => [
  row.kind,
  [row.namespace ? make("span", { class: "soft" }, `${row.namespace}/`) : "", row.name],
  [...(row.conditions && row.conditions.length ? [make("div", {}, ...chips(row.conditions))] : []),
    ...(row.parts || []).map((part) => make("div", {}, make("span", { class: "soft small" }, `${part.name} `), ...chips(part.conditions),
      part.attached_routes === undefined || part.attached_routes === null ? "" : make("span", { class: "soft small" }, `${part.attached_routes} attached`)))],
  make("span", { class: "mono soft small" }, row.source || "")]))) : [make("p", { class: "empty" }, "No object reports a status.")]);

const showCertificates = (rows) => [table([["Certificate"], ["Ends"], ["Left", "number"]], rows.map((row) => {
  const days = (row.ends - Date.now() / 1000) / 86400;
  return [make("span", { class: "mono" }, row.key), new Date(row.ends * 1000).toISOString().slice(0, 16).replace("T", " ") + " UTC",
    make("span", { class: `chip ${days < 1 ? "bad" : days < 14 ? "warn" : "good"}` }, days < 0 ? "expired" : days < 2 ? `${Math.round(days * 24)} h` : `${Math.floor(days)} days`)];
}))];

const show = (data) => {
  showState(data);
  showProblems(data);
  showTraffic(data);
  render("gateways", data.gateways, showGateways);
  render("backends", [data.backends, data.backends_total], showBackends);
  render("routes", [data.routes, data.routes_total], showRoutes);
  render("objects", [data.objects, data.objects_total], showObjects);
  const outward = data.gateways.some((gateway) => gateway.listeners.some((one) => one.hostname.startsWith("way out")));
  byId("egress-section").hidden = !outward && !data.egress_total;
  render("egress", [data.egress, data.egress_total], showEgress);
  byId("certificates-section").hidden = data.certificates.length === 0;
  render("certificates", data.certificates, showCertificates);
  render("footer", data.version, (version) => [`Sekisho ${version} · `, ...["status", "config", "metrics", "healthz/ready"].flatMap((path, index) => [index ? " · " : "", make("a", { href: `/${path}` }, path)])]);
};

let waiting = 0;
const poll = async () => {
  clearTimeout(waiting);
  if (!document.hidden) {
    try {
      const answer = await fetch(`/page-data?search=${encodeURIComponent(byId("search").value)}`);
      if (!answer.ok) throw new Error(`the gateway answered ${answer.status}`);
      show(await answer.json());
      document.body.classList.remove("stale");
    } catch (error) {
      document.body.classList.add("stale");
      byId("state").replaceChildren(make("span", { class: "pill bad" }, "no answer"), make("span", {}, String(error.message || error)));
    }
  }
  waiting = setTimeout(poll, 1000);
};
document.addEventListener("visibilitychange", () => { if (!document.hidden) poll(); });
byId("search").addEventListener("input", poll);

const missed = (candidate) => make("tr", {},
  make("td", {}, candidate.route, candidate.source ? make("div", { class: "mono soft small" }, candidate.source) : ""),
  make("td", { class: "small" }, candidate.failed ? `${candidate.failed.predicate}${candidate.failed.name ? ` ${candidate.failed.name}` : ""}: wants ${candidate.failed.want || "–"}, got ${candidate.failed.got || "nothing"}` : "matched"));
const inWords = (egress) => {
  const limits = Object.entries(egress.limits).filter(([, most]) => most).map(([name, most]) => `${name.replace("_ms", " (ms)")} ${most}`);
  const verdict = !egress.allowed ? "denied" : egress.would_deny ? "let through by Report mode" : "allowed";
  return [`${verdict}: ${egress.reason}`, ...(limits.length ? [`limits: ${limits.join(", ")}`] : []), ...(egress.contact ? [`ask ${egress.contact}`] : [])].join("; ");
};
const showExplanation = (answer) => {
  const target = byId("explanation");
  if (answer.error) { target.replaceChildren(make("p", { class: "chip bad" }, answer.error)); return; }
  const facts = make("dl", {});
  const fact = (name, value) => { if (value) facts.append(make("dt", {}, name), make("dd", { class: "mono" }, value)); };
  fact("listener", answer.listener);
  fact("route", answer.route ? `${answer.route}${answer.name ? ` “${answer.name}”` : ""}` : "");
  fact("from", answer.source);
  fact("filters", (answer.filters || []).map((step) => step.type).join(", "));
  fact("backends", (answer.backends || []).map((share) => `${share.backend || (share.failure && share.failure.message)} (weight ${share.weight === undefined ? 1 : share.weight})`).join(", "));
  if (answer.egress) fact("egress", inWords(answer.egress));
  for (const place of answer.destinations || []) {
    fact("outside", `${place.host}:${place.port} as ${place.protocol === "HTTP" ? `${place.method} ${place.path}` : place.protocol}${place.must_ask_for_host ? ", if it is TLS that asks for that name" : ""}`);
    fact("", place.egress ? inWords(place.egress) : place.status ? `${place.protocol === "HTTP" ? `answers ${place.status}` : "closed"} (${place.code})` : "no egress policy speaks for this listener");
    fact("credentials", place.credentials.join(", "));
  }
  const routed = answer.decision === "route" || answer.decision === "egress";
  const misses = routed ? (answer.candidates || []).filter((one) => !one.matched).slice(0, 5) : answer.nearest || [];
  target.replaceChildren(
    make("p", { class: "verdict" }, make("span", { class: `pill ${routed && !answer.status ? "good" : routed ? "warn" : "bad"}` }, answer.decision.replaceAll("_", " ")), answer.status ? ` answers ${answer.status}` : "", answer.code ? make("span", { class: "soft small" }, ` ${answer.code}`) : ""),
    facts,
    ...(misses.length ? [make("div", { class: "soft small" }, routed ? "Passed over before it" : "Nearest misses"), make("table", {}, make("tbody", {}, ...misses.map(missed)))] : []));
};
const explain = async () => {
  const form = new FormData(byId("explain"));
  const headers = String(form.get("headers")).split("\n").filter((line) => line.trim()).map((line) => {
    const colon = line.indexOf(":");
    return colon < 0 ? [line.trim(), ""] : [line.slice(0, colon).trim(), line.slice(colon + 1).trim()];
  });
  try {
    const answer = await fetch("/explain", { method: "POST", body: JSON.stringify({ method: String(form.get("method")).trim(), url: String(form.get("url")).trim(), headers, from: String(form.get("from")).trim() }) });
    showExplanation(await answer.json());
  } catch (error) {
    showExplanation({ error: `no answer: ${error.message || error}` });
  }
  const question = new URLSearchParams([...form].map(([name, value]) => [name, String(value)]));
  window.history.replaceState(null, "", `#explain?${question}`);
};
byId("explain").addEventListener("submit", (event) => { event.preventDefault(); explain(); });
// A question is part of the address, so that it can be sent to a colleague.
if (location.hash.startsWith("#explain?")) {
  for (const [name, value] of new URLSearchParams(location.hash.slice("#explain?".length))) {
    const field = byId("explain").elements.namedItem(name);
    if (field) field.value = value;
  }
  explain();
}
poll();
