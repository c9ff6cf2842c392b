import { byId, el } from "./dom";
import { goTo, playSelected, step } from "./evidence";
import type { Player } from "./player";
import type { Store } from "./state";

const SEEK_S = 2;

const KEYS: [string, string][] = [
  ["j or ↓", "next utterance"],
  ["k or ↑", "previous utterance"],
  ["Home, End", "first, last utterance"],
  ["Enter", "play the utterance"],
  ["Space", "play or pause"],
  ["← →", `back or ahead ${SEEK_S} seconds`],
  ["+ − 0", "zoom the timeline in, out, whole"],
  ["/", "filter the transcript"],
  ["m", "to the attention maps, then arrows move over the cells"],
  ["t", "light or dark"],
  ["?", "these keys"],
];

export function makeKeyboard(store: Store, player: Player, parts: { theme(): void; transcript(): void }): void {
  const dialog = byId<HTMLDialogElement>("keys");
  const close = el("button", { type: "button", class: "tool" }, "Close");
  close.addEventListener("click", () => dialog.close());
  dialog.append(
    el("h2", { id: "keys-title" }, "Keys"),
    el("dl", {}, ...KEYS.flatMap(([keys, what]) => [el("dt", {}, ...keys.split(" ").map((key) => (/^(or|,)$/.test(key) ? ` ${key} ` : el("kbd", {}, key.replace(",", ""))))), el("dd", {}, what)])),
    close,
  );
  const help = (): void => (dialog.open ? dialog.close() : dialog.showModal());
  byId("help").addEventListener("click", help);

  const actions: Record<string, () => void> = {
    j: () => step(store, player, 1),
    ArrowDown: () => step(store, player, 1),
    k: () => step(store, player, -1),
    ArrowUp: () => step(store, player, -1),
    Home: () => goTo(store, player, 0),
    End: () => goTo(store, player, store.report.utterances.length - 1),
    Enter: () => playSelected(store, player),
    " ": () => player.toggle(),
    ArrowLeft: () => player.seek(Math.max(0, store.state.time - SEEK_S)),
    ArrowRight: () => player.seek(Math.min(store.report.duration, store.state.time + SEEK_S)),
    "+": () => store.zoom(2),
    "=": () => store.zoom(2),
    "-": () => store.zoom(0.5),
    "0": () => store.setView(0, store.report.duration),
    "/": () => byId("filter").focus(),
    m: () => document.querySelector<HTMLElement>(".heat")?.focus(),
    t: parts.theme,
    "?": help,
  };
  const moves = new Set(["j", "k", "ArrowDown", "ArrowUp", "Home", "End"]);

  addEventListener("keydown", (event) => {
    const target = event.target as HTMLElement;
    if (event.ctrlKey || event.metaKey || event.altKey || event.defaultPrevented) return;
    if (dialog.open) {
      if (event.key === "?") dialog.close();
      return;
    }
    if (target instanceof HTMLInputElement && target.type !== "checkbox") {
      if (event.key === "Escape") target.blur();
      return;
    }
    // what has its own use of these keys keeps it
    const own = target.closest("button, a, input, summary") ? ["Enter", " "] : target instanceof HTMLVideoElement ? [" ", "ArrowLeft", "ArrowRight", "ArrowUp", "ArrowDown", "Home", "End", "m"] : [];
    const action = actions[event.key];
    if (!action || own.includes(event.key)) return;
    event.preventDefault();
    action();
    if (moves.has(event.key) && target.closest("#transcript")) parts.transcript();
  });
  byId("zoom-in").addEventListener("click", () => store.zoom(2));
  byId("zoom-out").addEventListener("click", () => store.zoom(0.5));
  byId("zoom-fit").addEventListener("click", () => store.setView(0, store.report.duration));
}
