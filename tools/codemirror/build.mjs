// Bundles CodeMirror for the rules page, so that nobody who runs gridtone needs Node: npm ci --ignore-scripts && node build.mjs

import { readFileSync, writeFileSync } from "node:fs";
import { build } from "esbuild";

const target = new URL("../../plugin/gridtone/server/static/rules/", import.meta.url).pathname;
const lock = JSON.parse(readFileSync("package-lock.json"));
const bundled = await build({ entryPoints: ["entry.js"], bundle: true, minify: true, format: "esm", target: "es2022", legalComments: "none", write: false, metafile: true });
const packages = new Set(Object.keys(bundled.metafile.inputs).flatMap((file) => file.match(/node_modules\/((?:@[^/]+\/)?[^/]+)/)?.[1] ?? []));
const versions = [...packages].sort().map((name) => `${name} ${lock.packages[`node_modules/${name}`].version}`);
const banner = `/*! CodeMirror 6, under the MIT licence (codemirror.LICENSE.txt). Made by tools/codemirror/build.mjs of:\n${versions.join("\n")}\n*/\n`;
writeFileSync(`${target}codemirror.js`, banner + bundled.outputFiles[0].text);
const licences = [...new Set([...packages].sort().map((name) => readFileSync(`node_modules/${name}/LICENSE`, "utf8").trim()))];
writeFileSync(`${target}codemirror.LICENSE.txt`, `${licences.join("\n\n---\n\n")}\n`);
console.log(`${bundled.outputFiles[0].text.length} bytes`, versions);
