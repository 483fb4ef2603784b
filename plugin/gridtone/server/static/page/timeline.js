// The last day of states: a drawing for eyes, arrow keys for hands, a table for ears.

import { $, svg, element, table, text } from "./elements.js";
import { HEIGHTS } from "./severity.js";
import { clockTime, duration, pick, say } from "./words.js";

const HEIGHT = 84;
const BASE = 64;
const SHORTEST = 600;
const STEPS = [1, 2, 5, 10, 15, 30, 60, 180, 360].map((minutes) => minutes * 60);

export function showHistory(whole, titles) {
  const history = zoomed(whole);
  const width = Math.max(280, $("timeline").clientWidth);
  const x = (time) => ((Math.max(time, history.start) - history.start) / (history.end - history.start)) * width;
  const name = (span) => pick(titles.get(span.state)) || span.state;
  const describe = (span) => {
    const end = span.end ?? history.end;
    return `${name(span)} · ${clockTime(span.start)}–${span.end === null ? say("now") : clockTime(end)} · ${duration(end - span.start)} · ${pick(span.reason)}`;
  };
  const bars = history.spans.map((span, i) => {
    const height = Math.round((BASE - 6) * (HEIGHTS[span.severity] ?? 0.3));
    const left = x(span.start);
    const bar = svg("rect", {
      x: left,
      y: BASE - height,
      width: Math.max(2, x(span.end ?? history.end) - left - 1),
      height,
      rx: 2,
      class: `span ${span.severity}`,
      tabindex: i === history.spans.length - 1 ? 0 : -1,
      role: "img",
      "aria-label": describe(span),
    });
    const tell = () => text($("timeline-detail"), describe(span));
    bar.addEventListener("pointerenter", tell);
    bar.addEventListener("focus", tell);
    return bar;
  });
  const drawing = svg("svg", { viewBox: `0 0 ${width} ${HEIGHT}`, width: "100%", height: HEIGHT, role: "group", "aria-label": say("history") });
  drawing.append(svg("path", { d: `M0 ${BASE + 0.5}H${width}`, class: "axis" }), ...hours(history, x, width), ...bars);
  drawing.addEventListener("keydown", (event) => walk(event, bars));
  const focused = document.activeElement?.classList.contains("span") ? [...document.activeElement.parentNode.querySelectorAll(".span")].indexOf(document.activeElement) : -1;
  $("timeline").replaceChildren(drawing);
  if (focused >= 0) bars[Math.min(focused, bars.length - 1)]?.focus();
  else if (history.spans.length) text($("timeline-detail"), describe(history.spans.at(-1)));
  else text($("timeline-detail"), say("unseen"));
  const rows = history.spans
    .toReversed()
    .map((span) => [
      clockTime(span.start),
      span.end === null ? say("now") : clockTime(span.end),
      name(span),
      element("span", {}, say(`severity_${span.severity}`)),
      duration((span.end ?? history.end) - span.start),
      pick(span.reason),
    ]);
  const headings = [say("from"), say("to"), say("state"), say("severity"), say("lasted"), say("reason")];
  $("timeline-table").replaceChildren(table(say("history"), headings, rows));
}

// A young history fills the drawing too.
function zoomed(history) {
  const first = history.spans[0]?.start ?? history.start;
  return { ...history, start: Math.max(history.start, Math.min(first, history.end - SHORTEST)) };
}

function hours(history, x, width) {
  const marks = [];
  const most = width < 480 ? 5 : 9;
  const step = STEPS.find((seconds) => (history.end - history.start) / seconds <= most) ?? STEPS.at(-1);
  const midnight = new Date(history.start * 1000).setHours(0, 0, 0, 0) / 1000;
  for (let time = midnight + step; time < history.end; time += step) {
    if (x(time) < 16 || x(time) > width - 16) continue;
    marks.push(svg("path", { d: `M${x(time)} ${BASE}v5`, class: "axis" }), svg("text", { x: x(time), y: HEIGHT - 3, "text-anchor": "middle" }, clockTime(time)));
  }
  return marks;
}

function walk(event, bars) {
  const to = { ArrowLeft: -1, ArrowRight: 1, Home: -Infinity, End: Infinity }[event.key];
  if (to === undefined) return;
  event.preventDefault();
  const from = bars.indexOf(document.activeElement);
  const next = bars[Math.min(bars.length - 1, Math.max(0, from + to))];
  bars[from]?.setAttribute("tabindex", -1);
  next.setAttribute("tabindex", 0);
  next.focus();
}
