// The rules page: the text, its check, its replay and its versions.

import { RulesEditor } from "./editor.js";
import { dayAndTime, howKept, showComparison } from "./ribbons.js";
import { authorOf, showDifference, showVersions } from "./versions.js";
import { WORDS } from "./words.js";
import { letChoose, showTexts } from "../page/appearance.js";
import { $, element, text } from "../page/elements.js";
import { learn, say } from "../page/words.js";

const CHECK_AFTER_MILLISECONDS = 400;
const SAY_CHECKING_AFTER_MILLISECONDS = 1500;
const LOOK_EVERY_MILLISECONDS = 2000;

learn(WORDS);

let saved; // the rules that the text is based on, as the service told them
let latest; // the rules as the service told them last
let mayEdit = false;
let versions = [];
let nextBefore = null;
let checked = null;
let checking = null;
let comparison = null;
let compared = null; // the text that was compared, and the fingerprint of the rules beside it
let comparing = false;

const editor = new RulesEditor($("editor"), { changed, save, explained: () => ask("explain").catch(() => null) });

class Refused extends Error {
  constructor(status, { code, message, hint }) {
    super(hint ? `${message}; ${hint}` : message);
    Object.assign(this, { status, code });
  }
}

async function ask(path, method = "GET", body) {
  const response = await fetch(`/api/v1/${path}`, { method, headers: body && { "Content-Type": "application/json" }, body: body && JSON.stringify(body) });
  if (response.ok) return response.json();
  throw new Refused(response.status, (await response.json()).error);
}

const dirty = () => Boolean(saved) && editor.text !== saved.text;
const editable = () => mayEdit && saved?.source === "file";

// The rules as they are saved

async function look() {
  let answer;
  try {
    answer = await ask("rules");
  } catch (problem) {
    text($("lost"), problem.status === 401 ? say("sign_in_first") : say("lost", { problem: problem.message }));
    $("lost").hidden = false;
    return;
  }
  $("lost").hidden = true;
  const moved = latest?.fingerprint !== answer.rules.fingerprint || latest?.version?.number !== answer.rules.version?.number;
  mayEdit = answer.may_edit;
  latest = answer.rules;
  if (!saved || (latest.fingerprint !== saved.fingerprint && !dirty())) open(latest);
  else if (latest.fingerprint === saved.fingerprint) saved = latest;
  if (moved) await readVersions();
  show();
}

function open(rules) {
  saved = rules;
  editor.open(rules.text, !editable());
  changed();
}

/** Whatever is at hand, in words. */
function show() {
  if (!latest) return;
  const name = latest.source === "pack" ? say("from_pack", { name: latest.name }) : latest.name;
  const { version } = latest;
  const line = version ? say("saved_as", { name, number: version.number, author: authorOf(version), time: dayAndTime(version.time) }) : name;
  text($("saved-line"), `${line} · ${say(latest.in_force ? "in_force" : "not_in_force")}`);
  text($("force"), latest.problem ? say("refused", { problem: latest.problem }) : "");
  const foreign = latest.fingerprint !== saved.fingerprint;
  $("meanwhile").hidden = !foreign;
  text($("meanwhile-text"), foreign ? say("meanwhile", { author: version ? authorOf(version) : "?" }) : "");
  $("pack-line").hidden = !(mayEdit && latest.source === "pack");
  const readOnly = latest.source === "inline" ? say("read_only_inline") : mayEdit ? "" : say("read_only_role");
  $("read-only-line").hidden = !readOnly;
  text($("read-only-line"), readOnly);
  $("save-form").hidden = !mayEdit;
  $("reason").disabled = !editable();
  $("save").disabled = !editable() || !dirty() || checked?.good === false;
  $("compare").disabled = comparing || checked?.good === false;
  showVersions(versions, mayEdit && latest.source !== "inline", { show: showVersion, bringBack });
  $("older").hidden = nextBefore === null;
  if (comparison) text($("comparison-line"), compared.text === editor.text && compared.base === latest.fingerprint ? howKept(comparison) : say("comparison_old"));
}

// The check

function changed() {
  checked = null;
  clearTimeout(checking);
  if (mayEdit) checking = setTimeout(check, CHECK_AFTER_MILLISECONDS);
  if (latest) show();
}

async function check() {
  const asked = editor.text;
  const slow = setTimeout(() => text($("check-line"), say("checking")), SAY_CHECKING_AFTER_MILLISECONDS);
  let answer;
  try {
    answer = await ask("rules/check", "POST", { text: asked });
  } catch (problem) {
    text($("check-line"), problem.message);
    return;
  } finally {
    clearTimeout(slow);
  }
  if (asked !== editor.text) return; // a later check is on its way
  checked = answer;
  editor.showMarks(checked.marks);
  showMarks();
  show();
}

function showMarks() {
  if (!checked) return;
  const { good, found, marks } = checked;
  text($("check-line"), good ? say(marks.length ? "good_doubts" : "good", { found, count: marks.length }) : say("bad", { count: marks.length }));
  $("check-line").classList.toggle("bad", !good);
  $("marks").replaceChildren(
    ...marks.map((mark) => {
      const place = element("button", { type: "button", class: "quiet place" }, say("line", mark));
      place.addEventListener("click", () => editor.goTo(mark));
      const fix = mark.replacement === null || !editable() ? "" : element("button", { type: "button", class: "fix" }, say("fix", { text: mark.replacement }));
      if (fix) fix.addEventListener("click", () => editor.fix(mark));
      return element("li", {}, place, element("span", { class: mark.severity }, say(`mark_${mark.severity}`)), element("span", {}, mark.fix ? `${mark.message}; ${mark.fix}` : mark.message), fix);
    }),
  );
}

// Saving

async function save() {
  if (!editable()) return;
  if (!dirty()) return tell(say("nothing_new"));
  if (checked?.good === false) return tell(say("bad", { count: checked.marks.length }), true);
  const reason = $("reason").value.trim();
  if (!reason) {
    tell(say("reason_needed"), true);
    $("reason").focus();
    return;
  }
  await put("rules", "PUT", { text: editor.text, base: saved.fingerprint, reason });
}

async function put(path, method, body) {
  $("save").disabled = true;
  try {
    const version = await ask(path, method, body);
    $("reason").value = "";
    latest = (await ask("rules")).rules;
    saved = latest;
    if (!body.text) editor.replace(version.text);
    tell(say("saved", { number: version.number }));
    await readVersions();
    editor.refresh(!editable());
  } catch (problem) {
    tell(problem.message, true);
    if (problem.code === "changed_meanwhile") {
      await look();
      conflict();
    }
  }
  changed();
}

function tell(words, bad = false) {
  text($("save-line"), words);
  $("save-line").classList.toggle("bad", bad);
}

/** Somebody else saved: both texts, and nothing is lost. */
function conflict() {
  const theirs = latest;
  showDifference({
    heading: say("conflict"),
    line: say("conflict_line"),
    left: theirs.text,
    right: editor.text,
    leftName: say("left_theirs", { author: theirs.version ? authorOf(theirs.version) : "?" }),
    rightName: say("right_mine"),
    mine: true,
    choices: [
      [
        say("keep_mine"),
        (mine) => {
          saved = theirs;
          editor.replace(mine);
          show();
        },
      ],
      [
        say("take_theirs"),
        () => {
          saved = theirs;
          editor.replace(theirs.text);
          show();
        },
      ],
    ],
  });
}

async function makeMine() {
  await put("rules", "PUT", { text: saved.text, base: saved.fingerprint, reason: say("made_mine", { name: saved.name }) });
  editor.view.focus();
}

// Versions

async function readVersions(before = null) {
  const page = await ask(before === null ? "rules/versions" : `rules/versions?before=${before}`);
  versions = before === null ? page.versions : [...versions, ...page.versions];
  nextBefore = page.next_before;
}

async function showVersion({ number }) {
  const version = await ask(`rules/versions/${number}`);
  showDifference({
    heading: say("version_beside", { number }),
    line: version.reason,
    left: version.text,
    right: latest.text,
    leftName: say("left_version", { number, time: dayAndTime(version.time) }),
    rightName: say("right_saved"),
    choices: mayEdit && version.text !== latest.text ? [[say("bring_back"), () => bringBack(version)]] : [],
  });
}

async function bringBack({ number }) {
  if (dirty()) {
    const version = await ask(`rules/versions/${number}`);
    editor.replace(version.text); // what was typed can be had back with undo
  }
  await put(`rules/versions/${number}/restore`, "POST", { base: latest.fingerprint, reason: say("brought_back", { number }) });
}

// The replay

async function compare() {
  const asked = { text: editor.text, base: latest.fingerprint };
  $("comparison").hidden = false;
  comparing = true;
  show();
  text($("comparison-told"), say("comparing"));
  try {
    comparison = await ask("rules/replay", "POST", { text: asked.text });
    compared = asked;
    showComparison(comparison);
  } catch (problem) {
    text($("comparison-told"), problem.message);
  }
  comparing = false;
  show();
  $("comparison").scrollIntoView({ block: "nearest" });
}

function showAll() {
  showTexts();
  document.title = `${say("rules")} · gridtone`;
  for (const node of document.querySelectorAll("[data-say-hint]")) node.setAttribute("placeholder", say(node.dataset.sayHint));
  editor.refresh(!editable());
  showMarks();
  if (comparison) showComparison(comparison);
  show();
}

$("save-form").addEventListener("submit", (event) => {
  event.preventDefault();
  save();
});
$("compare").addEventListener("click", compare);
$("make-mine").addEventListener("click", makeMine);
$("meanwhile-show").addEventListener("click", conflict);
$("older").addEventListener("click", () => readVersions(nextBefore).then(show));
window.addEventListener("beforeunload", (event) => dirty() && event.preventDefault());
new ResizeObserver(() => comparison && showComparison(comparison)).observe($("ribbons"));
document.addEventListener("visibilitychange", () => document.hidden || look());

letChoose(showAll);
showAll();
editor.schema = await ask("rules/schema").catch(() => ({}));
await look();
setInterval(() => document.hidden || look(), LOOK_EVERY_MILLISECONDS);
