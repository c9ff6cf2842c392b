// The strongest passage of each label, above the lanes: what a reader wants to see first.

import { fragment } from "./address";
import { byId, el } from "./dom";
import { change, clock, plural, probability, title } from "./format";
import type { Report, Utterance } from "./types";

const MOST_SHOWN = 6;
const poles = new Set(["positive", "negative"]);

interface Passage {
  position: number;
  label: string;
  value: string;
  /** how far the value is beyond what the label needs, as a share of what is possible */
  strength: number;
}

export function makeHighlights(report: Report): void {
  const card = byId("highlights-card");
  const passages = strongest(report);
  const silent = notJudged(report.utterances);
  card.hidden = !passages.length && !silent.length;
  byId("highlights-lead").textContent = passages.length
    ? "For each label, the utterance in which the model finds it strongest."
    : "No utterance has a label.";
  byId("highlights").append(
    ...passages.map(({ position, label, value }) => {
      const { start, text, speaker } = report.utterances[position]!;
      return el(
        "li",
        {},
        el(
          "a",
          { href: fragment(start), class: "passage" },
          el("span", { class: "passage-head" }, el("span", { class: poles.has(label) ? `chip ${label}` : "chip" }, `${title(label).toLowerCase()} ${value}`), el("time", {}, clock(start)), speaker && el("span", { class: "speaker" }, speaker)),
          el("span", { class: "passage-text", dir: "auto" }, text || "No transcript"),
        ),
      );
    }),
  );
  byId("not-judged").append(...silent.map(([reason, count]) => el("li", {}, `${plural(count, "utterance")} without a prediction: ${reason}`)));
}

/** The strongest utterance of each label: the poles of sentiment first, then emotions by how clearly they are present. */
export function strongest(report: Report): Passage[] {
  const { utterances, model, ranges } = report;
  const middle = (ranges.sentiment[0] + ranges.sentiment[1]) / 2;
  const half = (ranges.sentiment[1] - ranges.sentiment[0]) / 2;
  const sentiments = [...poles].map((label) =>
    best(utterances, label, (utterance) => {
      if (utterance.sentiment?.[0] !== label) return null;
      const { degree } = utterance;
      if (degree === null) return [utterance.sentiment[1], probability(utterance.sentiment[1])];
      return [(label === "positive" ? degree - middle : middle - degree) / half, ranges.sentiment[0] < 0 ? change(degree) : probability(degree)];
    }),
  );
  const emotions = report.emotions.map((label) =>
    best(utterances, label, ({ labels, emotions: values }) => {
      const value = values[label];
      if (value === undefined || !labels.includes(label)) return null;
      const cut = model.thresholds[label] ?? 0;
      return [(value - cut) / Math.max(1 - cut, 1e-6), probability(value)];
    }),
  );
  const present = (passages: (Passage | null)[]): Passage[] => passages.filter((passage) => passage !== null);
  const clear = present(emotions).sort((one, other) => other.strength - one.strength);
  return [...present(sentiments), ...clear].slice(0, MOST_SHOWN);
}

function best(utterances: Utterance[], label: string, measure: (utterance: Utterance) => [number, string] | null): Passage | null {
  let found: Passage | null = null;
  utterances.forEach((utterance, position) => {
    const measured = measure(utterance);
    if (measured && (!found || measured[0] > found.strength)) found = { position, label, strength: measured[0], value: measured[1] };
  });
  return found;
}

/** Reasons for which something said was not judged, and how often, the most frequent first. */
function notJudged(utterances: Utterance[]): [string, number][] {
  const counts = new Map<string, number>();
  for (const { notJudged: reason } of utterances) if (reason) counts.set(reason, (counts.get(reason) ?? 0) + 1);
  return [...counts].sort((one, other) => other[1] - one[1]);
}
