// Keeps the page up to date: one event stream, connected again whenever it breaks, and the hall's own clock.

import { draw, drawFixedWords } from "./view.js";
import { clock, currentLanguage, date, setLanguage, word } from "./words.js";

// The server ticks every 5 s; three silent ticks mean that the line is dead, whatever the browser thinks.
const SILENCE_MS = 16000;
// A reconnect that takes less than this is not worth a banner.
const PATIENCE_MS = 3000;
const RECONNECT_MS = 3000;

let hall = null;
let heardAt = performance.now();
let drawnAt = 0; // performance.now() at which hall.now_s was true
let broken = false;
let source = null;

function connect() {
  source?.close();
  const stream = new EventSource("/api/v1/feed");
  source = stream;
  stream.addEventListener("live", (event) => { heard(); show(JSON.parse(event.data)); });
  stream.addEventListener("tick", (event) => { heard(); setClock(JSON.parse(event.data).now_s); });
  stream.addEventListener("error", () => {
    broken = true;
    // The browser connects again by itself, except after an answer that was no stream.
    if (stream.readyState === EventSource.CLOSED) window.setTimeout(() => { if (source === stream) connect(); }, RECONNECT_MS);
  });
}

function heard() {
  heardAt = performance.now();
  broken = false;
}

function show(snapshot) {
  hall = snapshot;
  setClock(snapshot.now_s);
  draw(hall);
}

function setClock(nowS) {
  if (!hall) return;
  hall.now_s = nowS;
  drawnAt = performance.now();
}

function hallNowS() {
  return hall.now_s + ((performance.now() - drawnAt) / 1000) * hall.speed;
}

function drawClock() {
  const silent = performance.now() - heardAt;
  const lost = silent > SILENCE_MS || (broken && silent > PATIENCE_MS);
  const banner = document.getElementById("lost");
  if (lost) banner.textContent = hall ? word("lost", { time: clock(hall.now_s, hall.utc_offset_s) }) : word("lostAtStart");
  banner.hidden = !lost;
  document.body.classList.toggle("is-lost", lost);
  if (silent > SILENCE_MS && !broken) { broken = true; connect(); }
  if (!hall || lost) return;
  const nowS = hallNowS();
  document.getElementById("time").textContent = clock(nowS, hall.utc_offset_s);
  document.getElementById("date").textContent = date(nowS, hall.utc_offset_s);
  const speed = document.getElementById("speed");
  speed.hidden = hall.speed === 1;
  speed.textContent = word("speed", { speed: hall.speed });
}

function chooseLanguage(name) {
  setLanguage(name);
  try { window.localStorage.setItem("hallseal.language", currentLanguage()); } catch { /* private window: not remembered */ }
  if (hall) draw(hall); else drawFixedWords();
  drawClock();
}

function firstLanguage() {
  const asked = new URLSearchParams(window.location.search).get("lang");
  if (asked) return asked;
  try { return window.localStorage.getItem("hallseal.language") ?? "zh"; } catch { return "zh"; }
}

document.getElementById("language").addEventListener("click", () => chooseLanguage(currentLanguage() === "zh" ? "en" : "zh"));
setLanguage(firstLanguage());
drawFixedWords();
connect();
window.setInterval(drawClock, 250);
