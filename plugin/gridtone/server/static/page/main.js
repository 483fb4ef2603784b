// Joins the connection, the audio engine and the page.

import { AudioEngine } from "../player/audio.js";
import { Connection } from "../player/connection.js";
import { ServiceClock } from "../player/schedule.js";
import { letChoose, showTexts } from "./appearance.js";
import { $, text } from "./elements.js";
import { showRoom } from "./alarms.js";
import { showMusic, showSound } from "./music.js";
import { spaced } from "./spaced.js";
import { showStanding } from "./standing.js";
import { showHistory } from "./timeline.js";
import { pick, say } from "./words.js";
import { showAdapters, showSampler, showStock } from "./workshop.js";

const STATE_EVERY_MILLISECONDS = 5000;
const WORKSHOP_EVERY_MILLISECONDS = 15000;
const WORKSHOP_LEAST_MILLISECONDS = 5000; // the stock tells of changes every second while it samples
const ANSWER_MILLISECONDS = 30000;

const clock = new ServiceClock();
const engine = new AudioEngine(clock, fetchAudio, () => showSound(engine.status, muted));
const desk = new URLSearchParams(location.search).get("desk") ?? "";
const connection = new Connection("", clock, desk, { message: hear, status: becomes });

let standing, cue, previousCue, alarms, states, sampler, adapters, history;
let status = "connecting";
let muted = localStorage.getItem("gridtone.muted") === "true";

async function fetchAudio(trackId, codec, limit) {
  const response = await fetch(`/api/v1/tracks/${trackId}/audio?codec=${codec}`, { signal: limit });
  return response.ok ? response.arrayBuffer() : null;
}

async function ask(path) {
  try {
    const response = await fetch(`/api/v1/${path}`, { signal: AbortSignal.timeout(ANSWER_MILLISECONDS) });
    return response.ok ? await response.json() : undefined;
  } catch {
    return undefined; // the connection's own watchdog says that the service is gone
  }
}

function hear(kind, payload) {
  if (kind === "state") {
    const changed = payload.state !== standing?.state;
    standing = payload;
    if (changed) {
      text($("announcement"), say("announce", { title: pick(standing.title), reason: pick(standing.reason) }));
      refreshHistory();
    }
  } else if (kind === "cue") {
    if (cue && payload.id !== cue.id) previousCue = cue;
    cue = payload;
    engine.follow(cue);
  } else if (kind === "alarms") {
    alarms = payload;
  } else {
    refreshWorkshop();
  }
  show();
}

function becomes(next, problem) {
  status = next;
  if (next === "connected") {
    engine.found();
    $("sign-in").hidden = true;
    $("sign-out").hidden = !localStorage.getItem("gridtone.signed_in");
    refreshAll();
  } else if (next !== "connecting") {
    engine.lost();
  }
  if (next === "refused") {
    const tokenNeeded = problem.code === "token_needed";
    $("sign-in").hidden = !tokenNeeded;
    $("sign-out").hidden = true;
    text($("sound-problem"), tokenNeeded ? "" : `${problem.message}: ${problem.hint}`);
  }
  show();
}

async function refreshRole() {
  $("to-audit").hidden = (await ask("session"))?.role !== "admin";
}

async function refreshState() {
  if (document.hidden || status !== "connected") return;
  standing = (await ask("state")) ?? standing;
  show();
}

async function refreshWorkshop() {
  if (!document.hidden && status === "connected") await askWorkshop();
}

const askWorkshop = spaced(async () => {
  [states, sampler, adapters] = await Promise.all([ask("states"), ask("sampler"), ask("adapters")]);
  showWorkshop();
}, WORKSHOP_LEAST_MILLISECONDS);

async function refreshHistory() {
  history = (await ask("history?hours=24")) ?? history;
  showPast();
}

function refreshAll() {
  refreshRole();
  refreshWorkshop().then(refreshHistory);
}

function showWorkshop() {
  if (states) showStock(states);
  if (sampler) showSampler(sampler);
  if (adapters) showAdapters(adapters);
}

function showPast() {
  if (!history) return;
  showHistory(history, new Map(states?.states.map((state) => [state.name, state.title])));
}

function show() {
  const now = clock.now();
  $("connection").dataset.status = status;
  text($("connection-text"), say(`connection_${status}`));
  $("lost").hidden = status !== "lost";
  document.body.classList.toggle("old", status === "lost" || status === "refused");
  if (standing) {
    showStanding(standing, now);
    document.title = `${pick(standing.title)} · gridtone`;
  }
  if (alarms) showRoom(alarms, now);
  if (cue) showMusic(cue, previousCue, now);
}

function showAll() {
  showTexts();
  showSound(engine.status, muted);
  show();
  showWorkshop();
  showPast();
}

function setVolume(percent) {
  $("volume").value = percent;
  engine.setVolume(percent / 100);
  localStorage.setItem("gridtone.volume", percent);
}

function setMuted(on) {
  muted = on;
  engine.setMuted(on);
  localStorage.setItem("gridtone.muted", on);
  showSound(engine.status, muted);
}

$("sound").addEventListener("click", () => (engine.status.sound === "on" ? engine.disable() : engine.enable()));
$("mute").addEventListener("click", () => setMuted(!muted));
$("volume").addEventListener("input", (event) => setVolume(Number(event.target.value)));
$("sign-in").addEventListener("submit", async (event) => {
  event.preventDefault();
  const response = await fetch("/api/v1/session", {
    method: "POST",
    headers: { "Content-Type": "application/json" },
    body: JSON.stringify({ token: $("token").value }),
  });
  text($("sign-in-problem"), response.ok ? "" : (await response.json()).error.message);
  if (!response.ok) return;
  $("token").value = "";
  localStorage.setItem("gridtone.signed_in", "yes");
  connection.reopen();
});
$("sign-out").addEventListener("click", async () => {
  await fetch("/api/v1/session", { method: "DELETE" });
  localStorage.removeItem("gridtone.signed_in");
  location.reload();
});
new ResizeObserver(showPast).observe($("timeline"));
document.addEventListener("visibilitychange", () => document.hidden || (refreshState(), refreshAll()));

letChoose(showAll);
setVolume(Number(localStorage.getItem("gridtone.volume") ?? 70));
setMuted(muted);
showAll();
connection.open();
setInterval(show, 500);
setInterval(refreshState, STATE_EVERY_MILLISECONDS);
setInterval(refreshWorkshop, WORKSHOP_EVERY_MILLISECONDS);
setInterval(refreshHistory, 60000);
