// The first line under the title, the warning, and the model's table at the end.

import { byId, el } from "./dom";
import { clock, plural, probability, title } from "./format";
import type { Report } from "./types";

export function makeAbout(report: Report): void {
  const { model, utterances, notes } = report;
  const counts = new Map<string, number>();
  for (const { sentiment, labels } of utterances) for (const name of [...(sentiment ? [sentiment[0]] : []), ...labels.filter((label) => label !== "none")]) counts.set(name, (counts.get(name) ?? 0) + 1);
  const poles = ["positive", "negative"];
  const most = [...counts].sort((one, other) => Number(poles.includes(other[0])) - Number(poles.includes(one[0])) || other[1] - one[1]);
  byId("facts").append(
    el("span", {}, clock(report.duration, 0)),
    el("span", {}, plural(utterances.length, "utterance")),
    el("span", {}, "model ", el("b", {}, model.name)),
    ...most.map(([name, count]) => el("span", { class: `count ${poles.includes(name) ? name : ""}` }, el("b", {}, String(count)), ` ${title(name).toLowerCase()}`)),
  );

  const caveat = byId("caveat");
  caveat.hidden = !model.caveats.length;
  caveat.textContent = model.caveats.join(" ");

  const rows: [string, string][] = [
    ["Model", model.name],
    ["Reads", model.inputs.map(title).join(", ")],
    ["Answers", model.tasks.map(title).join(", ").replace(/_/g, " ")],
    ["Thresholds", [`positive ${probability(model.sentimentThreshold)}`, ...Object.entries(model.thresholds).map(([name, cut]) => `${title(name).toLowerCase()} ${probability(cut)}`)].join(", ")],
    ["Protocol", model.protocol],
    ...model.facts,
  ];
  const table = el("table", { class: "facts-table" });
  for (const [name, value] of rows) if (value) table.append(el("tr", {}, el("th", { scope: "row" }, name), el("td", {}, value)));
  byId("about").append(el("div", { class: "card-head" }, el("h2", { id: "about-title" }, "Model and method")));
  const remarks = [...model.caveats, ...notes];
  const list = el("ul", {}, ...remarks.map((remark) => el("li", {}, remark)));
  byId("about").append(el("div", { class: "columns" }, el("section", {}, table), remarks.length ? el("section", {}, el("h3", {}, "Notes"), list) : ""));
}
