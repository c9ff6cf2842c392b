// Everything known about the chosen utterance.

import { byId, el } from "./dom";
import { change, clock, plain, probability, title, tone } from "./format";
import type { Player } from "./player";
import type { Store } from "./state";
import { chips } from "./transcript";
import type { Report, Utterance } from "./types";

// contributions below this would otherwise fill the whole bar
const LEAST_CHANGE = 0.05;
const N_CONTEXT = 3;

export function makeEvidence(store: Store, player: Player): void {
  const host = byId("evidence");
  const show = (): void => {
    const utterance = store.report.utterances[store.state.selected];
    host.replaceChildren();
    byId("said").textContent = utterance ? spoken(utterance, store.state.selected) : "";
    if (!utterance) {
      host.append(el("p", { class: "empty" }, "Nothing was said, so there is nothing to show."));
      return;
    }
    byId("evidence-title").textContent = `Utterance u${store.state.selected + 1}`;
    byId("evidence-time").textContent = `${utterance.speaker ? `${utterance.speaker} · ` : ""}${clock(utterance.start)} to ${clock(utterance.end)} · index ${utterance.index}`;
    host.append(
      el("blockquote", { dir: "auto" }, utterance.text || "No transcript"),
      chips(utterance),
      missing(utterance),
      el("div", { class: "columns" }, probabilities(store.report, utterance), degrees(store.report, utterance), further(utterance), contributions(store.report, utterance), context(store)),
    );
  };
  store.on(["selected"], show);
  byId("previous").addEventListener("click", () => step(store, player, -1));
  byId("next").addEventListener("click", () => step(store, player, 1));
  byId("play").addEventListener("click", () => playSelected(store, player));
  show();
}

/** What a screen reader says when the utterance changes. */
function spoken(utterance: Utterance, position: number): string {
  const labels = [...(utterance.sentiment ? [utterance.sentiment[0]] : []), ...utterance.labels.map(title)];
  return `u${position + 1}, ${labels.join(", ") || "no prediction"}`;
}

/** Go to the utterance before or after, and to where it starts. */
export function step(store: Store, player: Player, by: number): void {
  goTo(store, player, store.state.selected + by);
}

export function goTo(store: Store, player: Player, position: number): void {
  store.select(position);
  const utterance = store.report.utterances[store.state.selected];
  if (utterance) player.seek(utterance.start);
}

export function playSelected(store: Store, player: Player): void {
  const utterance = store.report.utterances[store.state.selected];
  if (!utterance) return;
  player.seek(utterance.start);
  player.play();
}

function missing(utterance: Utterance): HTMLElement | string {
  if (!utterance.missing.length) return "";
  const list = el("ul", { class: "gone" });
  for (const [modality, reason] of utterance.missing) list.append(el("li", {}, el("strong", {}, `${title(modality)} missing`), reason ? `: ${reason}` : ""));
  return list;
}

function probabilities(report: Report, utterance: Utterance): HTMLElement {
  const table = el("table", { class: "bars" }, el("caption", {}, "Probability", el("small", {}, "bar, and a mark at the threshold")));
  const body = el("tbody");
  table.append(body);
  const add = (name: string, value: number, cut: number | undefined, on: boolean, kind: string, verdict: string): void => {
    const fill = el("span", { class: `fill ${kind}` });
    fill.style.width = `${value * 100}%`;
    const bar = el("span", { class: "bar" }, fill);
    if (cut !== undefined) {
      const tick = el("span", { class: "cut", title: `threshold ${probability(cut)}` });
      tick.style.left = `${cut * 100}%`;
      bar.append(tick);
    }
    const said = cut === undefined ? verdict : `${verdict} (threshold ${probability(cut)})`;
    body.append(
      el(
        "tr",
        { class: on ? "on" : "" },
        el("th", { scope: "row" }, name),
        el("td", { class: "wide" }, bar),
        el("td", { class: "number" }, probability(value)),
        el("td", { class: "verdict", title: said }, cut === undefined ? "" : `${value >= cut ? "≥" : "<"} ${probability(cut)}`),
      ),
    );
  };
  if (utterance.sentiment) {
    const [label] = utterance.sentiment;
    const { positive } = utterance.classes;
    if (Object.keys(utterance.classes).length === 2 && positive !== undefined) {
      add("Positive", positive, report.model.sentimentThreshold, true, tone(label), label);
    } else {
      for (const [name, value] of Object.entries(utterance.classes)) add(title(name), value, undefined, name === label, tone(name), name === label ? "most probable" : "");
    }
  }
  for (const name of report.emotions) {
    const value = utterance.emotions[name];
    const on = utterance.labels.includes(name);
    if (value !== undefined) add(title(name), value, report.model.thresholds[name], on, on ? "present" : "below", on ? "present" : "absent");
  }
  return body.childElementCount ? el("section", {}, table) : el("section", {}, el("p", { class: "empty" }, utterance.notJudged ? `No prediction: ${utterance.notJudged}.` : "The model gave no prediction here."));
}

/** How strong, beside how probable: the scales that the annotators used. */
function degrees({ ranges }: Report, { degree, degrees: emotions }: Utterance): HTMLElement {
  const [low, high] = ranges.sentiment;
  const middle = (low + high) / 2;
  const section = el("section");
  const body = el("tbody");
  const add = (name: string, bar: HTMLElement, said: string): void => {
    body.append(el("tr", {}, el("th", { scope: "row" }, title(name)), el("td", { class: "wide" }, bar), el("td", { class: "number" }, said)));
  };
  if (degree !== null) {
    const fill = el("span", { class: degree >= middle ? "gain positive" : "loss" });
    fill.style.width = `${(Math.abs(degree - middle) / (high - low)) * 100}%`;
    add("sentiment", el("span", { class: "swing" }, fill), low < 0 ? change(degree) : degree.toFixed(2));
  }
  for (const [name, value] of Object.entries(emotions)) {
    const fill = el("span", { class: "fill present" });
    fill.style.width = `${(value / ranges.emotion[1]) * 100}%`;
    add(name, el("span", { class: "bar" }, fill), value.toFixed(2));
  }
  const scales = `sentiment from ${plain(low)} to ${plain(high)}, emotions from 0 to ${plain(ranges.emotion[1])}`;
  if (body.childElementCount) section.append(el("table", { class: "bars degrees" }, el("caption", {}, "Degree", el("small", {}, scales)), body));
  return section;
}

/** Labels of the user's own: what is predicted, as a plain list. */
function further({ further: texts }: Utterance): HTMLElement | string {
  if (!texts.length) return "";
  return el("section", {}, el("h3", {}, "Further labels"), el("ul", {}, ...texts.map((text) => el("li", {}, text))));
}

function contributions(report: Report, utterance: Utterance): HTMLElement {
  const modalities = Object.keys(utterance.contributions);
  const section = el("section");
  if (!modalities.length) {
    if (report.utterances.some(({ contributions: others }) => Object.keys(others).length)) section.append(el("p", { class: "empty" }, "No contributions were computed for this utterance."));
    return section;
  }
  const outputs = ["sentiment", ...report.emotions].filter((name) => modalities.some((modality) => name in utterance.contributions[modality]!));
  const changes = modalities.flatMap((modality) => Object.values(utterance.contributions[modality]!)).map(Math.abs);
  const most = Math.max(LEAST_CHANGE, ...changes);
  const caption = el("caption", {}, "What each channel adds", el("small", {}, `probability with it minus without it; full bar ${probability(most)}`));
  const head = el("tr", {}, el("td"), ...modalities.map((name) => el("th", { scope: "col" }, title(name))));
  const body = el("tbody");
  for (const name of outputs) {
    const cells = modalities.map((modality) => {
      const value = utterance.contributions[modality]![name];
      if (value === undefined) return el("td", {}, "–");
      const fill = el("span", { class: value >= 0 ? "gain" : "loss" });
      fill.style.width = `${(Math.abs(value) / most) * 50}%`;
      return el("td", {}, el("span", { class: "swing" }, fill), el("span", { class: "number" }, change(value)));
    });
    body.append(el("tr", {}, el("th", { scope: "row" }, name === "sentiment" ? "Positive" : title(name)), ...cells));
  }
  section.append(el("table", { class: "swings" }, caption, el("thead", {}, head), body));
  return section;
}

/** The context utterances that weigh most, in words: what the heat-map shows as colour. */
function context(store: Store): HTMLElement {
  const section = el("section");
  const { attention, utterances } = store.report;
  if (!attention.length) return section;
  const position = store.state.selected;
  const body = el("tbody");
  for (const { asks, on, rows } of attention) {
    const weights = (rows[position] ?? []).map((weight, column) => [weight, column] as const).filter((pair): pair is readonly [number, number] => pair[0] !== null);
    weights.sort((one, other) => other[0] - one[0]);
    const cell = el("td");
    for (const [weight, column] of weights.slice(0, N_CONTEXT)) {
      cell.append(el("span", { class: "link", title: utterances[column]!.text.slice(0, 300) }, `u${column + 1}`, el("b", {}, probability(weight))));
    }
    if (!weights.length) cell.append("missing here");
    body.append(el("tr", {}, el("th", { scope: "row" }, asks === on ? title(on) : `${title(asks)} → ${title(on)}`), cell));
  }
  section.append(el("table", { class: "context" }, el("caption", {}, "Context it attends to most", el("small", {}, "utterance and weight")), body));
  return section;
}
