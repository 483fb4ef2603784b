// Each severity has a colour, a shape and a height: never a colour alone.

import { svg } from "./elements.js";

const stroke = { fill: "none", stroke: "currentColor", "stroke-width": 3.4, "stroke-linecap": "round", "stroke-linejoin": "round" };
const solid = { fill: "currentColor" };

const SHAPES = {
  normal: () => [svg("circle", { cx: 24, cy: 24, r: 19, ...stroke }), svg("path", { d: "M15.5 24.5l6 6 11-12", ...stroke })],
  restorative: () => [svg("path", { d: "M41 24a17 17 0 1 1-5-12M41 6v9h-9", ...stroke })],
  alert: () => [svg("path", { d: "M24 6L44 41H4z", ...stroke }), svg("path", { d: "M24 19v10M24 35v.1", ...stroke })],
  emergency: () => [svg("path", { d: "M24 3L45 24 24 45 3 24z", ...solid }), svg("path", { d: "M24 13v13M24 33.5v.1", ...stroke, class: "knockout" })],
  in_extremis: () => [svg("path", { d: "M15 4h18l11 11v18L33 44H15L4 33V15z", ...solid }), svg("path", { d: "M16 16l16 16M32 16L16 32", ...stroke, class: "knockout" })],
  unknown: () => [svg("circle", { cx: 24, cy: 24, r: 19, ...stroke, "stroke-dasharray": "5 7" }), svg("path", { d: "M18 19a6 6 0 1 1 8.5 5.4c-1.7.8-2.5 1.9-2.5 3.8M24 34.4v.1", ...stroke })],
};

export const HEIGHTS = { unknown: 0.3, normal: 0.4, restorative: 0.55, alert: 0.7, emergency: 0.85, in_extremis: 1 };

export function drawIcon(node, severity) {
  node.replaceChildren(...(SHAPES[severity] ?? SHAPES.unknown)());
}
