// Moments in the address of the page: report.html#t=55.3 opens at 55.3 s.

import { byId } from "./dom";
import type { Player } from "./player";
import type { Store } from "./state";

/** The moment that an address names, in seconds; null without one. */
export function momentOf(hash: string): number | null {
  const found = /^#t=(\d+(?:\.\d+)?)$/.exec(hash);
  return found ? Number(found[1]) : null;
}

export const fragment = (seconds: number): string => `#t=${Number(Math.max(0, seconds).toFixed(2))}`;

/** Open the moment that the address names, now and whenever it changes (a link, the back button). */
export function makeAddress(store: Store, player: Player): void {
  const open = (): void => {
    const seconds = momentOf(location.hash);
    if (seconds === null) return;
    store.select(store.nearest(seconds));
    store.reveal(seconds);
    player.seek(seconds);
  };
  addEventListener("hashchange", open);
  open();
  offerLink(store);
}

/** Go to an utterance and put its start into the address, so that the back button returns to where the reader was. */
export function visit(store: Store, player: Player, position: number): void {
  store.select(position);
  const utterance = store.report.utterances[store.state.selected];
  if (!utterance) return;
  player.seek(utterance.start);
  if (location.hash !== fragment(utterance.start)) history.pushState(null, "", fragment(utterance.start));
}

/** The button that copies a link to the utterance; where a page may not copy, the link is in the address bar. */
function offerLink(store: Store): void {
  const link = byId<HTMLAnchorElement>("link");
  const said = byId("link-said");
  const show = (): void => {
    const utterance = store.report.utterances[store.state.selected];
    link.hidden = !utterance;
    if (utterance) link.href = fragment(utterance.start);
    said.textContent = "";
  };
  store.on(["selected"], show);
  show();
  link.addEventListener("click", () => {
    // the link itself changes the address
    said.textContent = "The link is in the address bar";
    void navigator.clipboard?.writeText(link.href).then(
      () => (said.textContent = "Link copied"),
      () => undefined,
    );
  });
}
