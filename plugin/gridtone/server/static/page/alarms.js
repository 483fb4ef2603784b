// The room: why it is silent, what brings the music back, and the alarms that stand.

import { $, element, text } from "./elements.js";
import { clockTime, duration, pick, say } from "./words.js";

const MOST_SHOWN = 5;

export function showRoom(alarms, now) {
  const { room } = alarms;
  $("room").hidden = !(alarms.configured || room.muted);
  $("room").classList.toggle("hushed", room.muted);
  $("room-silent").hidden = !room.muted;
  text($("room-reason"), pick(room.reason));
  text($("room-returns"), room.returns_at === null ? "" : say("returns_in", { time: duration(Math.max(0, room.returns_at - now)) }));
  const counts = say("alarm_counts", { total: alarms.total, waiting: alarms.unacknowledged });
  text($("room-counts"), alarms.total ? counts : alarms.configured ? say("no_alarms") : "");
  $("room-flood").hidden = !alarms.flood;
  text($("room-flood"), say("flood", { count: alarms.recent }));
  const signature = JSON.stringify([alarms.alarms, alarms.total, say("room"), Math.floor(now / 30)]);
  if ($("alarms").dataset.signature === signature) return;
  $("alarms").dataset.signature = signature;
  const rows = alarms.alarms.slice(0, MOST_SHOWN).map((alarm) => row(alarm, now));
  if (alarms.total > rows.length) rows.push(element("li", { class: "muted" }, say("more_alarms", { count: alarms.total - rows.length })));
  $("alarms").replaceChildren(...rows);
}

function row(alarm, now) {
  const marks = [alarm.chattering && say("chattering"), alarm.stale && say("stale_alarm")].filter(Boolean);
  return element(
    "li",
    {},
    element("span", { class: `badge priority ${alarm.priority}` }, say(`priority_${alarm.priority}`)),
    element("span", { class: "name" }, pick(alarm.title)),
    element("span", { class: alarm.state === "unacknowledged" || alarm.state === "returned" ? "waits" : "muted" }, [say(`alarm_${alarm.state}`), ...marks].join(" · ")),
    element("span", { class: "muted numbers" }, alarm.since === null ? "" : say("since", { time: clockTime(alarm.since), ago: duration(now - alarm.since) })),
  );
}
