import { visit } from "./address";
import { byId, el } from "./dom";
import { openDetails } from "./details";
import { clock, title, tone } from "./format";
import type { Player } from "./player";
import type { Store } from "./state";
import type { Utterance } from "./types";

export function chips(utterance: Utterance): HTMLElement {
  const list = el("span", { class: "chips" });
  if (utterance.sentiment) {
    const [label] = utterance.sentiment;
    list.append(el("span", { class: `chip ${tone(label)}` }, label));
  }
  for (const name of utterance.labels) list.append(el("span", { class: name === "none" ? "chip quiet" : "chip" }, title(name).toLowerCase()));
  for (const [modality] of utterance.missing) list.append(el("span", { class: "chip missing" }, `no ${title(modality).toLowerCase()}`));
  if (!utterance.sentiment && !Object.keys(utterance.emotions).length && !utterance.further.length) list.append(el("span", { class: "chip missing", title: utterance.notJudged }, utterance.notJudged ? `no prediction: ${utterance.notJudged}` : "no prediction"));
  return list;
}

export function makeTranscript(store: Store, player: Player): { focus(): void } {
  const list = byId("transcript");
  const { utterances } = store.report;
  const rows = utterances.map((utterance, position) => {
    const speaker = utterance.speaker && el("span", { class: "speaker", dir: "auto" }, utterance.speaker);
    const said = utterance.text ? el("span", { class: "said", dir: "auto" }, utterance.text) : el("span", { class: "said silent" }, "No transcript");
    const row = el(
      "li",
      { role: "option", id: `utterance-${position}`, class: "row", "aria-selected": "false", tabindex: -1, "data-index": utterance.index, "data-start": utterance.start },
      el("span", { class: "name" }, `u${position + 1}`),
      el("time", {}, clock(utterance.start)),
      el("span", { class: "body" }, speaker, said, chips(utterance)),
    );
    row.addEventListener("click", () => {
      visit(store, player, position);
      row.focus({ preventScroll: true });
      openDetails();
    });
    list.append(row);
    return row;
  });
  const noMatch = byId("no-match");
  if (!rows.length) {
    noMatch.hidden = false;
    noMatch.textContent = "No utterance was found in this recording.";
  }

  const mark = (): void => {
    rows.forEach((row, position) => {
      const on = position === store.state.selected;
      if (on === (row.getAttribute("aria-selected") === "true")) return;
      row.setAttribute("aria-selected", String(on));
      row.tabIndex = on ? 0 : -1;
    });
    const row = rows[store.state.selected];
    if (!row || row.hidden) return;
    // inside the list only: the page itself must not jump while the video plays
    const [top, bottom] = [row.offsetTop, row.offsetTop + row.offsetHeight];
    if (top < list.scrollTop) list.scrollTop = top - 8;
    else if (bottom > list.scrollTop + list.clientHeight) list.scrollTop = bottom - list.clientHeight + 8;
  };
  store.on(["selected"], mark);
  mark();

  const filter = byId<HTMLInputElement>("filter");
  const texts = rows.map((row) => (row.textContent ?? "").toLowerCase());
  filter.addEventListener("input", () => {
    const wanted = filter.value.trim().toLowerCase();
    let shown = 0;
    rows.forEach((row, position) => {
      row.hidden = !texts[position]!.includes(wanted);
      if (!row.hidden) shown += 1;
    });
    noMatch.hidden = shown > 0;
    noMatch.textContent = `Nothing said or labelled “${filter.value.trim()}”.`;
  });

  return { focus: () => rows[store.state.selected]?.focus({ preventScroll: true }) };
}
