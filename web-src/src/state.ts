// What the parts of the page agree on: which utterance, which moment, which stretch of time, which theme.

import type { Report } from "./types";

export interface State {
  /** position in report.utterances; -1 without utterances */
  selected: number;
  time: number;
  view: [number, number];
  /** time under the pointer in the timeline */
  hover: number | null;
}

type Topic = "selected" | "time" | "view" | "hover" | "theme";

export class Store {
  readonly state: State;
  private listeners: [Topic, () => void][] = [];

  constructor(readonly report: Report) {
    this.state = { selected: report.utterances.length ? 0 : -1, time: 0, view: [0, report.duration], hover: null };
  }

  on(topics: Topic[], listener: () => void): void {
    for (const topic of topics) this.listeners.push([topic, listener]);
  }

  tell(topic: Topic): void {
    for (const [wanted, listener] of this.listeners) if (wanted === topic) listener();
  }

  select(position: number): void {
    const last = this.report.utterances.length - 1;
    const wanted = Math.max(0, Math.min(last, position));
    if (last < 0 || wanted === this.state.selected) return;
    this.state.selected = wanted;
    this.reveal(this.report.utterances[wanted]!.start);
    this.tell("selected");
  }

  setTime(seconds: number): void {
    this.state.time = Math.max(0, Math.min(this.report.duration, seconds));
    this.tell("time");
  }

  setHover(seconds: number | null): void {
    if (seconds === this.state.hover) return;
    this.state.hover = seconds;
    this.tell("hover");
  }

  setView(from: number, to: number): void {
    const { duration } = this.report;
    const width = Math.max(Math.min(to - from, duration), Math.min(0.5, duration));
    const start = Math.max(0, Math.min(from, duration - width));
    this.state.view = [start, start + width];
    this.tell("view");
  }

  zoom(factor: number): void {
    const [from, to] = this.state.view;
    const centre = this.state.time >= from && this.state.time <= to ? this.state.time : (from + to) / 2;
    const width = (to - from) / factor;
    this.setView(centre - ((centre - from) / (to - from)) * width, centre + ((to - centre) / (to - from)) * width);
  }

  /** Scroll a zoomed timeline so that the moment is inside. */
  reveal(seconds: number): void {
    const [from, to] = this.state.view;
    if (seconds < from || seconds > to) this.setView(seconds - (to - from) * 0.1, seconds + (to - from) * 0.9);
  }

  /** Position of the utterance that is spoken at this moment, or -1. */
  spokenAt(seconds: number): number {
    let found = -1;
    this.report.utterances.forEach((utterance, position) => {
      if (utterance.start <= seconds + 1e-3 && seconds < utterance.end) found = position;
    });
    return found;
  }

  /** Position of the utterance at or nearest to this moment, or -1. */
  nearest(seconds: number): number {
    const spoken = this.spokenAt(seconds);
    if (spoken >= 0) return spoken;
    let best = -1;
    let distance = Infinity;
    this.report.utterances.forEach((utterance, position) => {
      const away = seconds < utterance.start ? utterance.start - seconds : seconds - utterance.end;
      if (away < distance) [best, distance] = [position, away];
    });
    return best;
  }
}
