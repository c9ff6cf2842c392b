import { byId } from "./dom";
import type { Store } from "./state";

export interface Player {
  seek(seconds: number): void;
  play(): void;
  toggle(): void;
}

/** The video, or without one a clock that seeks all the same. */
export function makePlayer(store: Store): Player {
  const video = byId<HTMLVideoElement>("video");
  const absent = byId("absent");
  const file = byId<HTMLInputElement>("file");
  let usable = video.hasAttribute("src");
  // The address ends with a moment whose frame stands for the video (#t=...). Nobody has chosen this moment: until
  // somebody plays or seeks, the page stays at its own time.
  let untouched = true;

  const showAbsent = (text: string): void => {
    usable = false;
    video.hidden = true;
    absent.hidden = false;
    byId("absent-text").textContent = text;
  };

  const showMissing = (): void => {
    const address = video.getAttribute("src") ?? "";
    const name = address.startsWith("./") ? decodeURIComponent(address.slice(2).replace(/#t=[\d.]+$/, "")) : "";
    showAbsent(
      `This browser cannot play the video${name ? ` at ${name}` : ""}: it was moved, or its format is unknown here. ` +
        "Everything else works without it.",
    );
  };

  if (!usable) showAbsent("This report was written without its video. Everything else works without it.");
  else if (video.error) showMissing();
  video.addEventListener("error", () => usable && showMissing());

  file.addEventListener("change", () => {
    const chosen = file.files?.[0];
    if (!chosen) return;
    usable = true;
    absent.hidden = true;
    video.hidden = false;
    video.src = URL.createObjectURL(chosen);
    untouched = false;
    video.currentTime = store.state.time;
  });

  const follow = byId<HTMLInputElement>("follow");
  const tick = (): void => {
    if (untouched) return;
    store.setTime(video.currentTime);
    if (!video.paused && follow.checked) {
      const spoken = store.spokenAt(video.currentTime);
      if (spoken >= 0) store.select(spoken);
      store.reveal(video.currentTime);
    }
    if (!video.paused && !video.ended) requestAnimationFrame(tick);
  };
  video.addEventListener("play", () => {
    if (untouched) video.currentTime = store.state.time;
    untouched = false;
    tick();
  });
  // the player's own slider; the seek to the frame above happens before the metadata have been shown
  video.addEventListener("pointerdown", () => (untouched = false));
  video.addEventListener("keydown", () => (untouched = false));
  video.addEventListener("seeked", tick);
  video.addEventListener("timeupdate", () => video.paused && tick());

  addCues(video, store);

  return {
    seek(seconds) {
      // what the reader chose stands until the video has caught up
      untouched = false;
      store.setTime(seconds);
      if (usable) video.currentTime = seconds;
    },
    play() {
      if (usable) void video.play().catch(() => undefined);
    },
    toggle() {
      if (!usable) return;
      if (video.paused) void video.play().catch(() => undefined);
      else video.pause();
    },
  };
}

/** Captions for the player's own menu; off until the reader asks for them. */
function addCues(video: HTMLVideoElement, store: Store): void {
  const track = video.addTextTrack("captions", "Transcript and labels", "en");
  const escape = (text: string): string => text.replace(/&/g, "&amp;").replace(/</g, "&lt;").replace(/>/g, "&gt;");
  for (const { start, end, text, sentiment, labels } of store.report.utterances) {
    const said = [sentiment ? sentiment[0] : "", ...labels].filter(Boolean).join(" · ");
    track.addCue(new VTTCue(start, Math.max(end, start + 0.001), escape(`${said ? `[${said}]\n` : ""}${text}`)));
  }
  track.mode = "disabled";
}
