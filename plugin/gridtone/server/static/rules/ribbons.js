// The last hours under two rules: two ribbons of states, where they differ, and the figures.

import { $, element, svg, table, text } from "../page/elements.js";
import { HEIGHTS } from "../page/severity.js";
import { clockTime, duration, pick, say } from "../page/words.js";

const [TOP, ROW, BAND, LEFT] = [4, 46, 10, 86];
const STEPS = [1, 2, 5, 10, 15, 30, 60, 180, 360].map((minutes) => minutes * 60);

export function showComparison(comparison) {
  const { current, edited } = comparison;
  const names = new Map([...edited.states, ...current.states].map((state) => [state.name, state]));
  const title = (state) => pick(names.get(state)?.title) || state;
  const whole = comparison.end - comparison.start;
  const lasted = duration(comparison.differing_seconds);
  text($("comparison-told"), comparison.differences.length ? say("would_differ", { lasted, whole: duration(whole), current: current.changes, edited: edited.changes }) : say("same"));
  text($("unseen"), comparison.unseen.length ? say("unseen_signals", { names: comparison.unseen.join(", ") }) : "");
  $("ribbons").replaceChildren(draw(comparison, names, title));
  const undrawn = current.undrawn + edited.undrawn;
  text($("ribbon-detail"), undrawn ? say("undrawn", { count: undrawn }) : "");
  $("figures").replaceChildren(figures(current, edited, title));
  $("differences").replaceChildren(listed(comparison, title));
  $("differences-fold").hidden = !comparison.differences.length;
}

/** On what the comparison rests. */
export function howKept({ readings, start, spacing_seconds: spacing }) {
  return say("comparison_line", { readings: readings.toLocaleString(), start: dayAndTime(start), spacing: duration(spacing) });
}

function draw({ start, end, current, edited, differences }, names, title) {
  const width = Math.max(300, $("ribbons").clientWidth);
  const height = TOP + 2 * ROW + BAND + 22;
  const x = (time) => LEFT + ((Math.min(Math.max(time, start), end) - start) / (end - start || 1)) * (width - LEFT);
  const drawing = svg("svg", { viewBox: `0 0 ${width} ${height}`, width: "100%", height, role: "group", "aria-label": say("comparison") });
  const ribbon = (outcome, base, label) => {
    const bars = outcome.stretches.map((stretch, i) => {
      const severity = names.get(stretch.state)?.severity ?? "unknown";
      const said = `${label}: ${title(stretch.state)} · ${dayAndTime(stretch.start)}–${clockTime(stretch.end)} · ${duration(stretch.end - stretch.start)} · ${pick(stretch.reason)}`;
      const tall = Math.round((ROW - 8) * (HEIGHTS[severity] ?? 0.3));
      const bar = svg("rect", { x: x(stretch.start), y: base - tall, width: Math.max(1.5, x(stretch.end) - x(stretch.start) - 0.5), height: tall, class: `span ${severity}`, role: "img", "aria-label": said, tabindex: i ? -1 : 0 });
      const tell = () => text($("ribbon-detail"), said);
      bar.addEventListener("pointerenter", tell);
      bar.addEventListener("focus", tell);
      return bar;
    });
    const group = svg("g", {}, svg("text", { x: 0, y: base - 10, class: "name" }, label), svg("path", { d: `M${LEFT} ${base + 0.5}H${width}`, class: "axis" }), ...bars);
    group.addEventListener("keydown", (event) => walk(event, bars));
    return group;
  };
  drawing.append(
    ribbon(current, TOP + ROW, say("ribbon_saved")),
    ribbon(edited, TOP + 2 * ROW, say("ribbon_edited")),
    svg("text", { x: 0, y: TOP + 2 * ROW + BAND + 1 }, say("ribbon_differs")),
    ...differences.map((each) => svg("rect", { x: x(each.start), y: TOP + 2 * ROW + 5, width: Math.max(1.5, x(each.end) - x(each.start)), height: BAND - 5, class: "differs" })),
    ...hours(start, end, x, width, height),
  );
  return drawing;
}

function hours(start, end, x, width, height) {
  const step = STEPS.find((seconds) => (end - start) / seconds <= (width < 560 ? 4 : 9)) ?? STEPS.at(-1);
  const marks = [];
  for (let time = new Date(start * 1000).setHours(0, 0, 0, 0) / 1000 + step; time < end; time += step) {
    if (x(time) > LEFT + 16 && x(time) < width - 16) marks.push(svg("text", { x: x(time), y: height - 2, "text-anchor": "middle" }, clockTime(time)));
  }
  return marks;
}

function walk(event, bars) {
  const to = { ArrowLeft: -1, ArrowRight: 1, Home: -Infinity, End: Infinity }[event.key];
  if (to === undefined) return;
  event.preventDefault();
  const from = bars.indexOf(event.target);
  const next = bars[Math.min(bars.length - 1, Math.max(0, from + to))];
  bars[from]?.setAttribute("tabindex", -1);
  next.setAttribute("tabindex", 0);
  next.focus();
}

function figures(current, edited, title) {
  const of = (outcome, state) => outcome.figures.find((figure) => figure.state === state);
  const states = [...new Set([...current.figures, ...edited.figures].map((figure) => figure.state))];
  const pair = (state, tell) => [current, edited].map((outcome) => (of(outcome, state) ? tell(of(outcome, state)) : "–"));
  const both = (state, tell) => pair(state, tell).join(" → ");
  const rows = states.map((state) => [
    title(state),
    ...pair(state, (figure) => `${duration(figure.seconds)} (${(figure.share * 100).toFixed(1)} %)`),
    both(state, (figure) => figure.entries),
    both(state, (figure) => figure.flaps),
    both(state, (figure) => duration(figure.longest_seconds)),
  ]);
  return table(say("comparison"), ["state_name", "time_saved", "time_edited", "entered", "flaps", "longest"].map((key) => say(key)), rows);
}

function listed({ differences, unlisted }, title) {
  const rows = differences.map((each) => [
    dayAndTime(each.start),
    duration(each.end - each.start),
    element("span", {}, title(each.state), element("span", { class: "muted point" }, whyThen(each.reason, each.since, each.start))),
    element("span", {}, title(each.other), element("span", { class: "muted point" }, whyThen(each.other_reason, each.other_since, each.start))),
  ]);
  if (unlisted) rows.push([say("unlisted", { count: unlisted }), "", "", ""]);
  return table(say("differences"), ["from", "lasted", "saved_state", "edited_state"].map((key) => say(key)), rows);
}

/** A reason is told when a state is entered; later its values are others. */
function whyThen(reason, since, now) {
  return since === now ? pick(reason) : say("reason_then", { time: dayAndTime(since), reason: pick(reason) });
}

export function dayAndTime(seconds) {
  const today = new Date().toDateString() === new Date(seconds * 1000).toDateString();
  return today ? clockTime(seconds) : `${new Date(seconds * 1000).toLocaleDateString(document.documentElement.lang)} ${clockTime(seconds)}`;
}
