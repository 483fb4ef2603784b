// The audit log, page by page.

import { WORDS } from "./words.js";
import { letChoose, showTexts } from "../page/appearance.js";
import { $, element, table, text } from "../page/elements.js";
import { currentLanguage, learn, say } from "../page/words.js";

learn(WORDS);

let entries;
let nextBefore = null;
let refusal = null; // the key of a text, and what it is filled in with

async function ask(path) {
  const response = await fetch(`/api/v1/${path}`);
  const answer = await response.json();
  if (!response.ok) throw Object.assign(new Error(answer.error.message), { status: response.status });
  return answer;
}

/** Whoever may not read it is told so here: to ask in vain would be an entry of its own. */
async function read() {
  refusal = null;
  try {
    const asking = await ask("session");
    if (asking.role !== "admin") {
      refusal = ["admin_needed", asking];
    } else {
      const page = await ask(nextBefore === null ? "audit" : `audit?before=${nextBefore}`);
      entries = [...(entries ?? []), ...page.entries];
      nextBefore = page.next_before;
    }
  } catch (problem) {
    refusal = problem.status === 401 ? ["sign_in_first", {}] : ["unreadable", { problem: problem.message }];
  }
  show();
}

function show() {
  document.title = `${say("audit_log")} · gridtone`;
  $("refused").hidden = !refusal;
  text($("refused"), refusal ? say(...refusal) : "");
  $("older").hidden = nextBefore === null;
  if (!entries) return;
  const rows = entries.map((entry) => [String(entry.number), moment(entry.time), whoDid(entry), did(entry), detailsOf(entry)]);
  $("entries").replaceChildren(rows.length ? table(say("audit_log"), ["number", "time", "person", "did", "details"].map((key) => say(key)), rows) : say("nothing_yet"));
}

function moment(seconds) {
  return new Date(seconds * 1000).toLocaleString(currentLanguage(), { dateStyle: "medium", timeStyle: "medium", hour12: false });
}

function whoDid({ person, role }) {
  return role ? element("span", {}, person, " ", element("span", { class: "muted" }, role)) : say("itself");
}

function did({ action, what }) {
  const known = action in WORDS[currentLanguage()];
  const named = element("span", { class: action.endsWith("_refused") ? "refusal" : "" }, known ? say(action) : action.replaceAll("_", " "));
  return element("span", {}, named, what ? ` ${what}` : "");
}

function detailsOf({ detail }) {
  const told = Object.entries(JSON.parse(detail)).filter(([, value]) => value !== null);
  return element("span", {}, ...told.flatMap(([key, value], i) => [i ? " · " : "", `${key}: `, element("code", {}, plain(value))]));
}

function plain(value) {
  if (Array.isArray(value)) return value.map(plain).join(", ") || "–";
  return typeof value === "object" ? Object.entries(value).map(([key, each]) => `${key} ${plain(each)}`).join(", ") : String(value);
}

$("older").addEventListener("click", read);
letChoose(() => {
  showTexts();
  show();
});
showTexts();
await read();
