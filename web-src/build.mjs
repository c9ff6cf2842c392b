// Bundles src/ into src/mien/video/assets/. The same sources and lock file give the same bytes.
import { build } from "esbuild";
import { createHash } from "node:crypto";
import { readFileSync, readdirSync, writeFileSync } from "node:fs";

const assets = new URL("../src/mien/video/assets/", import.meta.url);
const at = (name) => new URL(name, import.meta.url);

await build({
  entryPoints: { report: "src/main.ts" },
  absWorkingDir: new URL(".", import.meta.url).pathname,
  outdir: assets.pathname,
  bundle: true,
  minify: true,
  format: "iife",
  target: ["chrome111", "firefox113", "safari16.4"],
  legalComments: "none", // the full notices stand in LICENSES.txt, which every page carries
  logLevel: "info",
});

writeFileSync(new URL("page.html", assets), readFileSync(at("src/page.html")));

const parts = ["uplot", "d3-scale-chromatic", "d3-interpolate", "d3-color"].map((name) => {
  const { version, license } = JSON.parse(readFileSync(at(`node_modules/${name}/package.json`), "utf8"));
  const text = readFileSync(at(`node_modules/${name}/LICENSE`), "utf8").trim();
  return `${name} ${version} (${license})\n\n${text}\n`;
});
writeFileSync(
  new URL("LICENSES.txt", assets),
  "The script and style of this page contain parts of the following packages.\n\n" + parts.join(`\n${"=".repeat(72)}\n\n`),
);

// Lets a test see without node that the sources changed and nobody built.
const digest = (url) => createHash("sha256").update(readFileSync(url)).digest("hex");
const sources = [...readdirSync(at("src")).sort().map((name) => `src/${name}`), "build.mjs", "package-lock.json", "package.json"];
const sums = [
  ...sources.map((name) => `${digest(at(name))}  web-src/${name}`),
  ...["LICENSES.txt", "page.html", "report.css", "report.js"].map(
    (name) => `${digest(new URL(name, assets))}  src/mien/video/assets/${name}`,
  ),
];
writeFileSync(new URL("SHA256SUMS", assets), sums.join("\n") + "\n");
