// What plays, what comes, and the crossfade between them.

import { $, element, text } from "./elements.js";
import { amount, pick, say } from "./words.js";

const PLAY = "M7 4.5v15l13-7.5z";
const PAUSE = "M6 5h4v14H6zM14 5h4v14h-4z";
const SPEAKER = "M4 9v6h4l5 4V5L8 9z";
const WAVES = "M15.5 8.5a5 5 0 0 1 0 7l1.2 1.2a6.6 6.6 0 0 0 0-9.4zM18 6a8.5 8.5 0 0 1 0 12l1.2 1.2a10.2 10.2 0 0 0 0-14.4z";
const CROSS = "M15.6 9.2l1.2-1.2 2.2 2.2 2.2-2.2 1.2 1.2-2.2 2.2 2.2 2.2-1.2 1.2-2.2-2.2-2.2 2.2-1.2-1.2 2.2-2.2z";

/** Shows the newest cue, and the one before it until the newest begins. */
export function showMusic(cue, previous, now) {
  const waiting = now < cue.time && previous;
  const shown = waiting ? previous : cue;
  const track = shown.action === "play" ? shown.track : null;
  text($("track-text"), track ? track.text : say("silence"));
  const position = track ? Math.min(track.seconds, Math.max(0, now - shown.time)) : 0;
  $("progress").value = track ? position / track.seconds : 0;
  $("progress").parentNode.hidden = !track;
  text($("progress-text"), track ? `${minutes(position)} / ${minutes(track.seconds)}` : "");
  facts(track);
  const notes = [pick(shown.reason)];
  if (track && position >= track.seconds) notes.push(say("over"));
  if (shown.duck_db < 0) notes.push(say("ducked", { decibels: amount(-shown.duck_db) }));
  text($("cue-reason"), notes.join(" · "));
  const next = waiting ? cue.track : cue.upcoming;
  const when = waiting ? ` · ${say("begins_in", { seconds: Math.ceil(cue.time - now) })}` : "";
  text($("next-text"), waiting && cue.action === "silence" ? say("silence") : next ? `${next.text}${when}` : say("nothing_next"));
  fading(cue, previous, now);
}

function fading(cue, previous, now) {
  const share = (now - cue.time) / cue.crossfade_seconds;
  const on = Boolean(previous?.track && cue.track && share >= 0 && share < 1);
  $("fading").hidden = !on;
  if (!on) return;
  text($("fading-text"), say("crossfading"));
  $("fade-out").style.width = `${100 * Math.cos((share * Math.PI) / 2)}%`;
  $("fade-in").style.width = `${100 * Math.sin((share * Math.PI) / 2)}%`;
}

function facts(track) {
  const rows = track
    ? [
        ["key", track.key ?? "–"],
        ["tempo", track.tempo_bpm ? `${Math.round(track.tempo_bpm)} bpm` : "–"],
        ["made_by", track.model],
        ["licence", track.licence],
      ]
    : [];
  const signature = JSON.stringify([rows, say("key")]);
  if ($("track-facts").dataset.signature === signature) return;
  $("track-facts").dataset.signature = signature;
  $("track-facts").replaceChildren(...rows.map(([key, value]) => element("div", {}, element("dt", {}, say(key)), element("dd", {}, value))));
}

export function showSound({ sound, problem }, muted) {
  const on = sound === "on";
  $("sound").setAttribute("aria-pressed", on);
  $("sound-icon").setAttribute("d", on ? PAUSE : PLAY);
  text($("sound-text"), say(on ? "disable" : "enable"));
  text($("sound-problem"), sound === "refused" ? say("refused") : problem ? say(problem) : "");
  $("mute").setAttribute("aria-pressed", muted);
  $("mute").setAttribute("aria-label", say(muted ? "unmute" : "mute"));
  $("mute-icon").setAttribute("d", SPEAKER + (muted ? CROSS : WAVES));
}

function minutes(seconds) {
  return `${Math.floor(seconds / 60)}:${String(Math.floor(seconds % 60)).padStart(2, "0")}`;
}
