// Draws a snapshot of the hall. Text goes in as text only, never as HTML: device and staff names come from outside.

import { clock, currentLanguage, ofDay, percent, span, word } from "./words.js";

const LEVELS = [5, 4, 3, 2, 1];
const SIGN_INS_SHOWN = 40;

export function draw(hall) {
  drawFixedWords();
  byId("hall").textContent = word("hall", { hall: hall.hall });
  drawStates(hall);
  drawFigures(hall);
  drawWindows(hall);
  drawAttendance(hall);
  drawFeed(hall);
}

export function drawFixedWords() {
  document.documentElement.lang = currentLanguage() === "zh" ? "zh-CN" : "en";
  document.title = word("title");
  for (const node of document.querySelectorAll("[data-word]")) node.textContent = word(node.dataset.word);
  const button = byId("language");
  button.textContent = word("other");
  button.lang = currentLanguage() === "zh" ? "en" : "zh-CN";
  byId("states").setAttribute("aria-label", word("devices"));
}

function drawStates(hall) {
  const shown = Object.keys(word("states")).filter((state) => state === "online" || hall.states[state] > 0);
  replace(byId("states"), shown.map((state) =>
    make("li", { class: "state", "data-state": state }, [
      make("i", { class: "mark", "aria-hidden": "true" }),
      make("b", {}, [String(hall.states[state])]),
      make("span", {}, [word("states")[state]]),
    ])));
}

function drawFigures(hall) {
  const rated = sum(hall.levels);
  drawRate(byId("good-rate"), hall.good_rate);
  drawRate(byId("rating-rate"), hall.rating_rate);
  byId("rating-rate-note").textContent = word("ratingRateNote", { rated: hall.visits_rated, unrated: hall.timed_out });
  const longest = Math.max(1, hall.timed_out, ...hall.levels);
  const rows = LEVELS.map((level) => levelRow(level, hall.levels[level - 1], rated, longest));
  rows.push(levelRow(0, hall.timed_out, null, longest));
  replace(byId("levels"), rows);
  byId("published").textContent = word("published", { group: hall.group });
}

function drawRate(node, rate) {
  node.textContent = percent(rate);
  node.classList.toggle("none", rate === null);
}

function levelRow(level, count, rated, longest) {
  const fill = make("i", { class: "fill", "data-level": level });
  fill.style.width = (100 * count) / longest + "%";
  fill.hidden = count === 0;
  return make("tr", { "data-level": level }, [
    make("th", { scope: "row" }, [word("levels")[level]]),
    make("td", { class: "track" }, [fill]),
    make("td", { class: "count" }, [String(count)]),
    make("td", { class: "share quiet" }, [rated ? percent(count / rated, 0) : ""]),
  ]);
}

function drawWindows(hall) {
  const list = byId("windows");
  list.dataset.size = sizeOf(hall.windows.length);
  byId("no-windows").hidden = hall.windows.length > 0;
  keep(list, hall.windows, (one) => one.device, (one) => tile(one, hall), (one) => tileKey(one, hall.now_s));
}

/** How large a tile may be, so that every window of the hall fits one wall screen. */
function sizeOf(count) {
  if (count <= 12) return "few";
  if (count <= 30) return "some";
  return count <= 56 ? "many" : "crowd";
}

function tileKey(one, nowS) {
  const minutes = one.state === "offline" ? span(nowS - one.seen_s) : "";
  return [one.place, one.state, one.fault_code, minutes, one.last_levels, one.levels, one.visits, one.waiting].join("|");
}

function tile(one, hall) {
  const rated = sum(one.levels);
  const good = rated ? percent((rated - one.levels[0] - one.levels[1]) / rated, 0) : "";
  return make("li", { class: "tile", "data-state": one.state, title: one.device }, [
    make("div", { class: "tile-head" }, [
      make("h3", {}, [make("span", { class: "unseen" }, [word("window", { place: one.place })]),
        make("span", { "aria-hidden": "true" }, [one.place])]),
      make("i", { class: "mark", "aria-hidden": "true" }),
    ]),
    one.last_levels.length ? bars(one.last_levels) : dots(one.waiting, hall.group),
    make("p", { class: "tile-foot quiet" }, [
      make("span", { class: "tile-state" }, [stateText(one, hall.now_s)]),
      make("span", { class: "tile-count" }, [word("visitsToday", { count: one.visits })]),
      make("span", { class: "tile-count" }, [good]),
    ]),
  ]);
}

function stateText(one, nowS) {
  if (one.state === "offline") return word("offlineFor", { span: span(nowS - one.seen_s) });
  if (one.state === "fault") return word("faults")[one.fault_code] ?? word("states").fault;
  return word("states")[one.state];
}

function bars(levels) {
  const text = word("recent", { levels: levels.map((level) => word("levels")[level]).join(", ") });
  return make("div", { class: "bars", role: "img", "aria-label": text },
    levels.map((level) => make("i", { "data-level": level })));
}

/** Before the first group is complete: how many of it are there. */
function dots(waiting, group) {
  const text = waiting ? word("waiting", { waiting, group }) : word("noRecent");
  return make("div", { class: "dots", role: "img", "aria-label": text, title: text },
    Array.from({ length: group }, (_, index) => make("i", { class: index < waiting ? "there" : "" })));
}

function drawAttendance(hall) {
  replace(byId("sign-in-summary"), [
    make("b", {}, [word("signInSummary", { count: hall.signed_in, late: hall.late })]),
    make("span", { class: "quiet" }, [word("signInLimit", { limit: ofDay(hall.sign_in_limit_s) })]),
  ]);
  replace(byId("doors"), hall.doors.map((one) =>
    make("li", { class: "state", "data-state": one.state, title: one.device }, [
      make("i", { class: "mark", "aria-hidden": "true" }),
      make("b", {}, [word("door", { place: one.place })]),
      make("span", {}, [one.state === "online" ? word("doorCount", { count: one.punches }) : word("states")[one.state]]),
    ])));
  byId("no-sign-ins").hidden = hall.sign_ins.length > 0;
  keep(byId("sign-ins"), hall.sign_ins.slice(0, SIGN_INS_SHOWN), (one) => one.staff, (one) => signIn(one, hall),
    (one) => [one.time_s, one.door, one.late].join("|"));
}

function signIn(one, hall) {
  // With seconds: 8:30:12 is late, and 8:30 would not say why.
  const time = one.time_s === null ? word("timeUnknown") : clock(one.time_s, hall.utc_offset_s, true);
  return make("li", { class: "row", "data-late": String(Boolean(one.late)) }, [
    make("time", {}, [time]),
    make("b", {}, [one.staff]),
    make("span", { class: "quiet" }, [word("door", { place: one.door })]),
    one.late ? make("span", { class: "badge" }, [word("late")]) : "",
  ]);
}

function drawFeed(hall) {
  byId("no-feed").hidden = hall.feed.length > 0;
  keep(byId("feed"), hall.feed, (one) => String(one.id), (one) => feedRow(one, hall), () => "");
}

function feedRow(one, hall) {
  const time = clock(one.at_s, hall.utc_offset_s);
  // Of ratings only the quarter of an hour is known here, and the page says so.
  const exact = one.kind === "punch" && one.time_known;
  return make("li", { class: "row", "data-kind": one.kind }, [
    make("time", {}, [exact ? time : word("about", { time })]),
    make("b", {}, [word(one.kind === "punch" ? "door" : placeWord(one, hall), { place: one.place })]),
    ...feedText(one),
  ]);
}

function placeWord(one, hall) {
  return hall.doors.some((door) => door.device === one.device) ? "door" : "window";
}

function feedText(one) {
  if (one.kind === "ratings") {
    const text = word("ratings", { count: one.levels.length });
    return [make("span", { class: "what" }, [make("span", {}, [text]), bars(one.levels)])];
  }
  if (one.kind === "punch") {
    const text = make("span", {}, [word("punch", { staff: one.staff })]);
    return [make("span", { class: "what" }, one.late ? [make("span", { class: "badge" }, [word("late")]), text] : [text])];
  }
  return [make("span", { class: "what" }, [word("events")[one.code] ?? word("event", { code: one.code })])];
}

/** Bring a list to `items`, keeping the nodes that did not change: only what is new is seen to appear. */
function keep(list, items, keyOf, makeNode, contentOf) {
  const language = currentLanguage();
  const old = new Map([...list.children].map((node) => [node.dataset.key, node]));
  const first = list.children.length === 0;
  items.forEach((item, index) => {
    const key = keyOf(item);
    const content = language + "|" + contentOf(item);
    let node = old.get(key);
    if (!node || node.dataset.content !== content) {
      const fresh = makeNode(item);
      fresh.dataset.key = key;
      fresh.dataset.content = content;
      if (!first && !(node && node.dataset.content.split("|")[0] !== language)) fresh.classList.add("fresh");
      if (node) node.replaceWith(fresh);
      node = fresh;
    }
    old.delete(key);
    if (list.children[index] !== node) list.insertBefore(node, list.children[index] ?? null);
  });
  for (const node of old.values()) node.remove();
}

function make(tag, attributes, children = []) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) if (value !== "") node.setAttribute(name, value);
  node.append(...children);
  return node;
}

function replace(node, children) {
  node.replaceChildren(...children);
}

function sum(numbers) {
  return numbers.reduce((total, one) => total + one, 0);
}

function byId(id) {
  return document.getElementById(id);
}
