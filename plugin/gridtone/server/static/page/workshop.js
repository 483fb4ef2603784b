// Behind the music: stock, sampler, sources of telemetry.

import { $, element, svg, table, text } from "./elements.js";
import { pick, say } from "./words.js";
import { drawIcon } from "./severity.js";

const LIKELY_SHOWN = 3;
const LEAST_PROBABILITY = 0.01;

export function showStock({ states, rules_problem: problem, forecast }) {
  $("stock").replaceChildren(...[...states].sort((a, b) => b.priority - a.priority).map(level));
  text($("likely"), likelyNext(forecast));
  $("likely").title = forecast.likely.slice(0, LIKELY_SHOWN).map((each) => `${pick(each.title)}: ${pick(each.reason)}`).join("\n");
  text($("rules-problem"), problem ? `${say("rules_problem")} ${problem}` : "");
}

function likelyNext(forecast) {
  const shown = forecast.likely.filter((each) => each.probability >= LEAST_PROBABILITY).slice(0, LIKELY_SHOWN);
  const states = shown.map((each) => `${pick(each.title)} ${Math.round(100 * each.probability)} %`).join(" · ");
  return states && say("likely_next", { minutes: Math.round(forecast.horizon_seconds / 60), states });
}

function level(state) {
  const icon = svg("svg", { viewBox: "0 0 48 48", class: `small-icon ${state.severity}`, "aria-hidden": "true" });
  drawIcon(icon, state.severity);
  const lamps = Array.from({ length: Math.min(12, Math.max(state.fresh, state.wanted)) }, (_, i) => element("i", { class: i < state.fresh ? "full" : "" }));
  const amount = state.silent ? element("span", { class: "muted" }, say("silent_state")) : element("span", { class: "numbers" }, `${state.fresh} / ${state.wanted}`);
  return element("li", {}, icon, element("span", { class: "name" }, pick(state.title)), element("span", { class: "lamps", "aria-hidden": "true" }, ...(state.silent ? [] : lamps)), amount);
}

export function showSampler(sampler) {
  const doing = !sampler.running ? say("sampler_stopped") : sampler.job ? `${sampler.job} · ${Math.round(sampler.fraction * 100)} %` : say("sampler_idle");
  text($("sampler-line"), `${sampler.engine} · ${doing}`);
  $("sampler-progress").value = sampler.fraction;
  $("sampler-progress").hidden = !(sampler.running && sampler.job);
  text($("sampler-problem"), sampler.problem);
  const items = sampler.failures.slice(0, 5).map((failure) => element("li", {}, failure));
  $("failures").replaceChildren(...(items.length ? [element("h3", { class: "label" }, say("failures")), element("ul", { class: "failures" }, ...items)] : []));
}

export function showAdapters({ adapters }) {
  const refused = (health) => Object.values(health.rejected).reduce((sum, count) => sum + count, 0);
  const rows = adapters.map((health) => [
    health.name,
    element("span", { class: health.connected ? "" : "beyond" }, say(health.connected ? "connected" : "not_connected"), health.problem && !health.connected ? ` – ${health.problem}` : ""),
    health.received.toLocaleString(),
    String(health.dropped),
    refused(health) ? Object.entries(health.rejected).map(([reason, count]) => `${reason}: ${count}`).join(", ") : "0",
  ]);
  const parts = [table(say("sources"), [say("source"), say("connection"), say("received"), say("dropped"), say("rejected")], rows)];
  const samples = adapters.flatMap((health) => health.samples.map((sample) => element("li", {}, element("code", {}, `${sample.source}: ${sample.sample}`), ` ${sample.reason}`)));
  if (samples.length) parts.push(element("h3", { class: "label" }, say("samples")), element("ul", { class: "failures" }, ...samples));
  $("sources").replaceChildren(...parts);
  const problems = adapters.filter((health) => !health.connected || health.problem || health.dropped || refused(health)).length;
  $("sources-count").hidden = !problems;
  text($("sources-count"), say("problems", { count: problems }));
}
