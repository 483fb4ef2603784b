// CodeMirror as the rules page uses it. It lives in a shadow root, where it may add its styles under the page's strict content security policy.

import * as cm from "./codemirror.js";
import { PHRASES } from "./words.js";
import { keysAt, namesSignals, namesUnder, placeAt, schemasAt, wordsAt } from "./schema.js";
import { dark } from "../page/appearance.js";
import { element } from "../page/elements.js";
import { currentLanguage, say } from "../page/words.js";

const { EditorState, EditorView, keymap, tags } = cm;

const LOOK = EditorView.theme({
  "&": { fontSize: "14px", color: "var(--text)", backgroundColor: "var(--ground)" },
  "&.cm-focused": { outline: "none" }, // the page draws it around the whole
  ".cm-scroller": { fontFamily: 'ui-monospace, "DejaVu Sans Mono", Menlo, Consolas, "Noto Sans Mono CJK SC", monospace', lineHeight: "1.5", maxHeight: "min(62vh, 46rem)" },
  ".cm-content": { caretColor: "var(--text)" },
  ".cm-cursor": { borderLeftColor: "var(--text)" },
  ".cm-gutters": { backgroundColor: "var(--card)", color: "var(--muted)", borderRight: "1px solid var(--edge)" },
  ".cm-activeLine": { backgroundColor: "color-mix(in srgb, var(--muted) 9%, transparent)" },
  ".cm-activeLineGutter": { backgroundColor: "color-mix(in srgb, var(--muted) 18%, transparent)", color: "var(--text)" },
  "&.cm-focused > .cm-scroller > .cm-selectionLayer .cm-selectionBackground, .cm-selectionBackground": { backgroundColor: "color-mix(in srgb, var(--accent) 30%, transparent)" },
  // The images that CodeMirror brings for these are data: addresses, which the policy refuses.
  ".cm-lintRange": { backgroundImage: "none", textDecorationLine: "underline", textDecorationStyle: "wavy", textDecorationThickness: "2px", textUnderlineOffset: "3px" },
  ".cm-lintRange-error": { backgroundImage: "none", textDecorationColor: "var(--emergency)" },
  ".cm-lintRange-warning": { backgroundImage: "none", textDecorationColor: "var(--alert)" },
  ".cm-lint-marker": { width: "0.9em", height: "0.9em" },
  ".cm-lint-marker-error": { content: "none", borderRadius: "50%", backgroundColor: "var(--emergency)" },
  ".cm-lint-marker-warning": { content: "none", clipPath: "polygon(50% 0, 100% 100%, 0 100%)", backgroundColor: "var(--alert)" },
  ".cm-tooltip, .cm-panels": { backgroundColor: "var(--card)", color: "var(--text)", border: "1px solid var(--edge)" },
  ".cm-tooltip": { maxWidth: "min(46rem, 90vw)" },
  ".cm-tooltip-hover": { padding: "8px 12px" },
  ".cm-tooltip-autocomplete > ul > li[aria-selected]": { backgroundColor: "var(--accent)", color: "var(--accent-text)" },
  ".cm-diagnostic": { borderLeft: "4px solid var(--muted)", padding: "6px 10px" },
  ".cm-diagnostic-error": { borderLeftColor: "var(--emergency)" },
  ".cm-diagnostic-warning": { borderLeftColor: "var(--alert)" },
  ".cm-diagnosticAction": { backgroundColor: "var(--accent)", color: "var(--accent-text)", padding: "3px 10px", borderRadius: "6px" },
  ".cm-panel input, .cm-panel button": { font: "inherit", color: "var(--text)", backgroundColor: "var(--ground)", backgroundImage: "none", border: "1px solid var(--edge)", borderRadius: "6px", padding: "2px 8px" },
  ".cm-searchMatch": { backgroundColor: "color-mix(in srgb, var(--alert) 35%, transparent)" },
  ".cm-collapsedLines": { backgroundImage: "none", backgroundColor: "var(--groove)", color: "var(--text)" },
  ".cm-collapsedLines::before, .cm-collapsedLines::after": { content: '"…"' },
  ".cm-foldPlaceholder": { backgroundColor: "var(--groove)", color: "var(--text)", border: "0" },
  ".cm-matchingBracket": { backgroundColor: "color-mix(in srgb, var(--accent) 30%, transparent) !important" },
});

const COLOURS = cm.HighlightStyle.define([
  { tag: [tags.propertyName, tags.definition(tags.propertyName)], color: "var(--accent)" },
  { tag: [tags.string, tags.content], color: "var(--text)" },
  { tag: [tags.number, tags.bool, tags.null, tags.attributeValue], color: "var(--restorative)" },
  { tag: [tags.comment, tags.lineComment], color: "var(--muted)", fontStyle: "italic" },
  { tag: [tags.punctuation, tags.separator, tags.squareBracket, tags.brace], color: "var(--muted)" },
]);

/** What editors and comparisons share. */
function common() {
  return [
    cm.lineNumbers(),
    cm.highlightActiveLineGutter(),
    cm.drawSelection(),
    cm.highlightActiveLine(),
    cm.bracketMatching(),
    cm.highlightSelectionMatches(),
    cm.syntaxHighlighting(COLOURS),
    cm.yaml(),
    cm.indentUnit.of("  "),
    LOOK,
    EditorView.darkTheme.of(dark()),
    EditorState.phrases.of(PHRASES[currentLanguage()] ?? {}),
    keymap.of([...cm.searchKeymap, ...cm.foldKeymap, ...cm.lintKeymap, ...cm.historyKeymap, ...cm.defaultKeymap]),
  ];
}

function locked(yes) {
  return [EditorState.readOnly.of(yes), EditorView.editable.of(!yes), EditorView.contentAttributes.of({ "aria-readonly": String(yes), tabindex: "0", "aria-label": say("rules") })];
}

export class RulesEditor {
  /** `hooks`: changed(), save(), explained() -> a promise of what /api/v1/explain answers. */
  constructor(host, hooks) {
    this.hooks = hooks;
    this.schema = {};
    this.locking = new cm.Compartment();
    this.speech = new cm.Compartment();
    const root = host.shadowRoot ?? host.attachShadow({ mode: "open", delegatesFocus: true });
    this.view = new EditorView({ parent: root, root, state: this.state("", true) });
  }

  state(text, readOnly) {
    return EditorState.create({
      doc: text,
      extensions: [
        keymap.of([{ key: "Mod-s", preventDefault: true, run: () => (this.hooks.save(), true) }, ...cm.closeBracketsKeymap, ...cm.completionKeymap]),
        this.speech.of(common()),
        cm.history(),
        cm.closeBrackets(),
        cm.codeFolding(),
        cm.foldGutter(),
        cm.lintGutter(),
        cm.autocompletion({ override: [(context) => this.complete(context)], icons: false }),
        cm.hoverTooltip((view, at) => this.explain(view, at)),
        this.locking.of(locked(readOnly)),
        EditorView.updateListener.of((update) => update.docChanged && this.hooks.changed()),
      ],
    });
  }

  get text() {
    return this.view.state.doc.toString();
  }

  /** Begin anew with a text: nothing of the one before can be undone. */
  open(text, readOnly) {
    this.view.setState(this.state(text, readOnly));
  }

  /** Put another text in, which can be undone by itself. */
  replace(text) {
    this.view.dispatch({ changes: { from: 0, to: this.view.state.doc.length, insert: text }, annotations: cm.isolateHistory.of("full") });
  }

  /** Language, or dark and light, were chosen anew. */
  refresh(readOnly) {
    this.view.dispatch({ effects: [this.speech.reconfigure(common()), this.locking.reconfigure(locked(readOnly))] });
  }

  /** The range of a mark. The service counts characters, JavaScript halves of the rare ones. */
  range(mark) {
    const { doc } = this.view.state;
    const line = doc.line(Math.min(mark.line, doc.lines));
    const characters = Array.from(line.text);
    const from = line.from + characters.slice(0, mark.column - 1).join("").length;
    return { from: Math.min(from, line.to), to: Math.min(from + characters.slice(mark.column - 1, mark.column - 1 + mark.length).join("").length, line.to) };
  }

  showMarks(marks) {
    const diagnostics = marks.map((mark) => ({
      ...this.range(mark),
      severity: mark.severity,
      message: mark.fix ? `${mark.message}; ${mark.fix}` : mark.message,
      actions: mark.replacement === null ? [] : [{ name: say("fix", { text: mark.replacement }), apply: () => this.fix(mark) }],
    }));
    this.view.dispatch(cm.setDiagnostics(this.view.state, diagnostics));
  }

  fix(mark) {
    this.view.dispatch({ changes: { ...this.range(mark), insert: mark.replacement } });
    this.view.focus();
  }

  goTo(mark) {
    const { from } = this.range(mark);
    this.view.dispatch({ selection: { anchor: from }, effects: EditorView.scrollIntoView(from, { y: "center" }) });
    this.view.focus();
  }

  complete(context) {
    const place = placeAt(context.state.sliceDoc(0, context.pos));
    if (!place.word && !context.explicit) return null;
    const info = (text) => () => element("div", {}, text);
    const option = (label, detail, apply = label) => ({ label, apply, ...(detail && { info: info(detail) }) });
    const options = [];
    if (place.kind === "key") for (const [key, detail] of keysAt(this.schema, place.path)) options.push(option(key, detail, `${key}: `));
    if (place.kind === "value" || place.path.at(-1) === "[]") {
      const signals = namesSignals(place.path);
      const names = signals ? namesUnder(this.text, "signals") : place.path.join() === "fallback" ? namesUnder(this.text, "states") : wordsAt(this.schema, place.path);
      options.push(...names.map((name) => option(name)));
      if (signals) options.push(...["and", "or", "not"].map((word) => option(word)));
    }
    return options.length ? { from: context.pos - place.word.length, options, validFor: /^[^\s,{}[\]"'():]*$/ } : null;
  }

  async explain(view, at) {
    const word = view.state.wordAt(at);
    if (!word) return null;
    const name = view.state.sliceDoc(word.from, word.to);
    const end = /^\s*:(\s|$)/.test(view.state.sliceDoc(word.to, word.to + 2)) ? word.to : null;
    const place = placeAt(view.state.sliceDoc(0, end ?? word.to));
    const lines = end !== null && place.kind === "key" ? this.describe([...place.path, place.word]) : await this.value(place, name);
    return lines.length ? { pos: word.from, end: word.to, create: () => ({ dom: element("div", {}, ...lines.map((line) => element("div", {}, line))) }) } : null;
  }

  describe(path) {
    const known = schemasAt(this.schema, path);
    const description = known.find((each) => each.description)?.description;
    const preset = known.find((each) => each.default !== undefined && each.default !== null)?.default;
    const words = wordsAt(this.schema, path);
    return [
      ...(description ? [description] : []),
      ...(preset !== undefined && preset !== "" && typeof preset !== "object" ? [say("default_is", { value: preset })] : []),
      ...(words.length && known.some((each) => each.enum) ? [say("one_of", { values: words.join(", ") })] : []),
    ];
  }

  /** A signal in a condition or an expression: what it is now, in the rules in force. */
  async value(place, name) {
    if (!namesSignals(place.path)) return [];
    const signal = (await this.hooks.explained())?.signals.find((each) => each.name === name);
    if (!signal) return [];
    const value = signal.value === null ? say("now_unknown") : say("now_is", { value: `${Number(signal.value.toPrecision(6))} ${signal.unit}`.trim() });
    return [`${value}${signal.point ? ` (${signal.point})` : ""}${signal.stale ? `, ${say("stale")}` : ""}`];
  }
}

/** Two texts beside each other. The right one can be edited where `mine` is true. Returns the view; its `b` is the right side. */
export function beside(host, left, right, mine) {
  const root = host.shadowRoot ?? host.attachShadow({ mode: "open", delegatesFocus: true });
  root.replaceChildren();
  return new cm.MergeView({
    parent: root,
    root,
    a: { doc: left, extensions: [common(), locked(true)] },
    b: { doc: right, extensions: [common(), cm.history(), locked(!mine)] },
    revertControls: mine ? "a-to-b" : undefined,
    collapseUnchanged: { margin: 3, minSize: 6 },
    gutter: true,
  });
}
