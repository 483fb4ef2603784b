// Where in a file of rules the cursor is, and what the JSON Schema knows of that place.

const KEY = /^(?:"([^"]*)"|'([^']*)'|([^\s"'{}[\],#:][^"'{}[\],:#]*)):(?:\s+|$)/;

/**
 * The place at the end of `before`, the text up to the cursor: `path` of keys (`[]` stands for an item of a list), whether a `key` or a `value` belongs there, and
 * the `word` that has been begun.
 */
export function placeAt(before) {
  const lines = before.split("\n");
  const last = lines.pop();
  const opened = /^(\s*(?:-\s+)*)(.*)$/s.exec(last);
  const path = above(lines, opened[1].indexOf("-") >= 0 ? opened[1].indexOf("-") : opened[1].length, opened[1].includes("-"));
  const items = (opened[1].match(/-/g) ?? []).length;
  for (let i = 0; i < items; i++) path.push("[]");
  return inline(path, opened[2]);
}

/** The keys above a line whose text, or whose dash, begins in column `indent`. */
function above(lines, indent, dashed) {
  const path = [];
  let limit = indent;
  for (const line of lines.reverse()) {
    const [, lead, rest] = /^(\s*(?:-\s+)*)(.*)$/.exec(line);
    if (!rest || rest.startsWith("#")) continue;
    const dash = lead.indexOf("-");
    const key = KEY.exec(rest);
    if (key && (lead.length < limit || (dashed && lead.length === limit && dash < 0))) {
      path.unshift(key[1] ?? key[2] ?? key[3].trim());
      limit = lead.length;
      dashed = false;
    }
    if (dash >= 0 && dash < limit) {
      path.unshift("[]");
      limit = dash;
      dashed = true;
    }
    if (limit <= 0 && !dashed) break;
  }
  return path;
}

/** Follow what stands on the line itself, with `{...}` and `[...]`. */
function inline(start, text) {
  const open = [];
  let path = start;
  let rest = text;
  let kind = "key";
  for (;;) {
    const key = kind === "key" ? KEY.exec(rest) : null;
    if (key) {
      path = [...path, key[1] ?? key[2] ?? key[3].trim()];
      rest = rest.slice(key[0].length);
      kind = "value";
    }
    const bracket = /^\s*([{[])\s*/.exec(rest);
    if (bracket) {
      open.push({ path, list: bracket[1] === "[" });
      rest = rest.slice(bracket[0].length);
      if (bracket[1] === "[") path = [...path, "[]"];
      kind = bracket[1] === "[" ? "value" : "key";
      continue;
    }
    const done = /^(?:"[^"]*"|'[^']*'|[^,{}[\]])*?([,}\]])\s*/.exec(rest);
    if (!done || !open.length) break;
    rest = rest.slice(done[0].length);
    if (done[1] !== ",") ({ path } = open.pop());
    const inside = open.at(-1);
    if (done[1] === "," && inside) path = inside.list ? [...inside.path, "[]"] : inside.path;
    kind = done[1] !== "," ? "done" : inside?.list ? "value" : "key";
    if (kind === "done" && !rest.startsWith(",")) break;
    if (kind === "done") kind = "value";
  }
  return { path, kind, word: /[^\s,{}[\]"'()]*$/.exec(rest)[0] };
}

/** Every schema that may describe what is at `path`. */
export function schemasAt(schema, path) {
  return path.reduce((schemas, part) => schemas.flatMap((each) => inside(schema, each, part)), flat(schema, schema));
}

function inside(root, schema, part) {
  const found = part === "[]" ? schema.items : schema.properties?.[part] ?? schema.additionalProperties;
  return typeof found === "object" ? flat(root, found).map((each) => ({ description: found.description, default: found.default, ...each })) : [];
}

/** Without references and alternatives. */
function flat(root, schema) {
  if (schema.$ref) return flat(root, { ...schema.$ref.slice(2).split("/").reduce((node, key) => node[key], root), ...schema, $ref: undefined });
  const { anyOf, oneOf, allOf, ...common } = schema;
  const choices = anyOf ?? oneOf ?? allOf;
  return choices ? choices.flatMap((choice) => flat(root, { ...common, ...choice })) : [schema];
}

/** Key -> description of what may stand at `path`. */
export function keysAt(schema, path) {
  const known = new Map();
  for (const each of schemasAt(schema, path)) for (const [key, value] of Object.entries(each.properties ?? {})) if (!known.has(key)) known.set(key, value.description ?? "");
  return known;
}

/** The words that may stand as the value at `path`. */
export function wordsAt(schema, path) {
  const found = schemasAt(schema, path).flatMap((each) => [...(each.enum ?? []), ...("const" in each ? [each.const] : []), ...(each.type === "boolean" ? ["true", "false"] : []), ...(each.examples ?? [])]);
  return [...new Set(found.map(String))];
}

/** The names that are defined under a top-level key. */
export function namesUnder(text, section) {
  const names = [];
  let within = false;
  let indent = 0;
  for (const line of text.split("\n")) {
    if (/^\S/.test(line) && !line.startsWith("#")) {
      within = line.startsWith(`${section}:`);
      indent = 0;
    }
    const named = within && /^(\s+)([^\s#:][^:]*):/.exec(line);
    if (!named) continue;
    indent ||= named[1].length;
    if (named[1].length === indent) names.push(named[2]);
  }
  return names;
}

/** What stands at `path` speaks of signals: a condition, or an expression. */
export function namesSignals(path) {
  return (path[0] === "states" && (path[2] === "when" || path[2] === "clear")) || (path[0] === "signals" && path[2] === "expression");
}
