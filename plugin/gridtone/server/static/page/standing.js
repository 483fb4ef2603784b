// Which state the grid is in, and why.

import { $, element, svg, table, text } from "./elements.js";
import { drawIcon } from "./severity.js";
import { amount, clockTime, duration, pick, say } from "./words.js";

const SPAN_OF_NOMINAL = { Hz: 0.01, pu: 0.1, kV: 0.1 };
// Quantities that live near their nominal value are drawn around their limit, this share of it to each side; the others from zero.

export function showStanding(standing, now) {
  $("standing").dataset.severity = standing.severity;
  drawIcon($("state-icon"), standing.severity);
  text($("state-title"), pick(standing.title));
  const severity = say(`severity_${standing.severity}`);
  text($("state-severity"), severity);
  $("state-severity").hidden = severity.toLowerCase() === pick(standing.title).toLowerCase();
  text($("state-since"), say("since", { time: clockTime(standing.since), ago: duration(now - standing.since) }));
  text($("state-reason"), pick(standing.reason));
  text($("state-rule"), standing.rule);
  text($("state-clears"), standing.clears ? say("clears", { rule: standing.clears }) : "");
  text($("state-timers"), timers(standing, now).join(" · "));
  text($("state-also"), standing.also_true.length ? say("also", { states: standing.also_true.join(", ") }) : "");
  const rows = standing.comparisons.map((comparison) => row(comparison, standing.signals.find((signal) => signal.name === comparison.signal)));
  const headings = ["signal", "value", "limit", "gauge", "margin", "age"].map((key) => say(key));
  $("signals").replaceChildren(...(rows.length ? [table(say("signals"), headings, rows)] : []));
}

/** What ends or begins by the clock, unless the signals change: `hold` and `for`. */
function timers({ holds_until: until, pending }, now) {
  const held = until !== null && until > now ? [say("held", { time: duration(until - now) })] : [];
  return [...held, ...pending.map(({ state, enters_at: at }) => say("pending", { state, time: duration(at - now) }))];
}

function row(comparison, signal) {
  const unit = signal?.unit ?? "";
  const known = signal && signal.value !== null;
  const above = comparison.operator.startsWith(">");
  const margin = known ? (above ? comparison.limit - signal.value : signal.value - comparison.limit) : null;
  const name = element("span", {}, element("span", { class: "signal" }, pick(signal?.title) || comparison.signal), element("span", { class: "muted point" }, signal?.point ?? ""));
  const limit = `${comparison.operator} ${amount(comparison.limit, unit)}`;
  if (!known) return [name, element("em", { class: "muted" }, say("no_value")), limit, "", "–", age(signal)];
  const words = margin >= 0 ? amount(margin, unit) : say("beyond", { margin: amount(-margin, unit) });
  return [
    name,
    element("strong", {}, amount(signal.value, unit)),
    limit,
    gauge(signal.value, comparison, unit),
    element("span", { class: comparison.decides ? "beyond" : "" }, words),
    age(signal),
  ];
}

function age(signal) {
  if (!signal || signal.age_seconds === null) return "–";
  return element("span", {}, duration(signal.age_seconds), signal.stale ? element("span", { class: "badge stale" }, say("stale")) : "");
}

/** A bar towards a tick at the limit; past the tick where the limit is exceeded. */
function gauge(value, { limit, operator, decides }, unit) {
  const [width, tick] = [120, 90];
  const span = SPAN_OF_NOMINAL[unit];
  const above = operator.startsWith(">");
  if (!["<", ">"].includes(operator[0]) || (!span && (!above || limit <= 0))) return "";
  const share = span ? 1 + ((above ? 1 : -1) * (value - limit)) / (Math.abs(limit) * span) : value / limit;
  const length = Math.min(width, Math.max(2, share * tick));
  return svg(
    "svg",
    { class: `gauge${decides ? " over" : ""}`, viewBox: `0 0 ${width} 14`, width, height: 14, "aria-hidden": "true" },
    svg("rect", { x: 0, y: 4, width, height: 6, rx: 3, class: "groove" }),
    svg("rect", { x: 0, y: 4, width: length, height: 6, rx: 3, class: "bar" }),
    svg("path", { d: `M${tick} 0v14`, class: "tick" }),
  );
}
