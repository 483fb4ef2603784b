// Every version of the rules, and two texts beside each other.

import { beside } from "./editor.js";
import { dayAndTime } from "./ribbons.js";
import { $, element, table, text } from "../page/elements.js";
import { say } from "../page/words.js";

export function authorOf(version) {
  return ["file", "gridtone"].includes(version.author) ? say(`author_${version.author}`) : version.author;
}

/** The reason, and which version was brought back unless the reason says only that. */
function whyOf({ restores, reason }) {
  return restores && reason !== say("brought_back", { number: restores }) ? say("restores", { number: restores, reason }) : reason || "–";
}

function button(label, pressed, described) {
  const node = element("button", { type: "button", "aria-label": described }, label);
  node.addEventListener("click", pressed);
  return node;
}

/** `hooks`: show(version), bringBack(version). The newest of `versions` comes first. */
export function showVersions(versions, mayEdit, hooks) {
  const rows = versions.map((version, i) => [
    element("span", { class: i ? "" : "newest" }, String(version.number)),
    dayAndTime(version.time),
    authorOf(version),
    whyOf(version),
    element(
      "span",
      { class: "row" },
      button(say("show"), () => hooks.show(version), `${say("show")} ${version.number}`),
      i && mayEdit ? button(say("bring_back"), () => hooks.bringBack(version), `${say("bring_back")} ${version.number}`) : "",
    ),
  ]);
  $("versions").replaceChildren(table(say("versions"), ["number", "time", "author", "reason", ""].map((key) => (key ? say(key) : "")), rows));
}

/** Two texts in a dialog. `choices`: [label, chosen(right text)] each; `mine`: the right text may be changed. */
export function showDifference({ heading, line = "", left, right, leftName, rightName, mine = false, choices = [] }) {
  text($("difference-heading"), heading);
  text($("difference-line"), left === right ? say("identical") : line);
  text($("left-name"), leftName);
  text($("right-name"), rightName);
  $("difference").showModal();
  const view = beside($("difference-view"), left, right, mine);
  const close = () => $("difference").close();
  $("difference-buttons").replaceChildren(
    ...choices.map(([label, chosen]) =>
      button(label, () => {
        chosen(view.b.state.doc.toString());
        close();
      }),
    ),
  );
  $("difference").onclose = () => view.destroy();
  $("difference-close").onclick = close;
}
