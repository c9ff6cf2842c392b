// The details of an utterance on narrow screens: below the video on a tablet, a sheet above the transcript on a phone.

import { byId } from "./dom";

const TABLET = "(max-width: 860px)";
// the same width as in report.css
const PHONE = "(max-width: 640px)";

export function makeDetails(): void {
  byId("details-close").addEventListener("click", closeDetails);
  addEventListener("keydown", (event) => {
    if (event.key === "Escape") closeDetails();
  });
  // a link to a moment shows the utterance of that moment
  addEventListener("hashchange", openDetails);
}

/** Bring the details into view where the screen is too narrow to show them beside the transcript. */
export function openDetails(): void {
  if (matchMedia(PHONE).matches) byId("evidence-card").classList.add("open");
  else if (matchMedia(TABLET).matches) byId("evidence-card").scrollIntoView({ block: "start", behavior: "smooth" });
}

function closeDetails(): void {
  byId("evidence-card").classList.remove("open");
}
