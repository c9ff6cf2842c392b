// The timeline: one small uPlot per lane, all on the same seconds.

import uPlot from "uplot";
import { visit } from "./address";
import { byId, color, el } from "./dom";
import { change, clock, end, measure, plain, plural, probability, title } from "./format";
import { axisOf, bars, type Lane, level, line } from "./lanes";
import type { Player } from "./player";
import type { Store } from "./state";
import type { Report, Track } from "./types";

const STEPS = [0.1, 0.2, 0.5, 1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200];
// a press that moves less than this is a click, else it zooms
const DRAG_PX = 6;
const EDGE_PX = 16;

interface Drawn {
  lane: Lane;
  plot: uPlot;
  row: HTMLElement;
  value: HTMLElement;
}

export function makeTimeline(store: Store, player: Player): void {
  const root = byId("timeline");
  const overlay = el("div", { class: "overlay", "aria-hidden": "true" });
  const chosen = el("div", { class: "chosen" });
  const head = el("div", { class: "playhead" });
  overlay.append(chosen, head);
  const strip = makeStrip(store, player);
  root.append(strip.element);
  const drawn: Drawn[] = [];
  const rulers: uPlot[] = [];

  rulers.push(addRuler(root, store));
  for (const group of groups(store.report)) {
    const parts = [el("h3", {}, group.name), el("p", {}, group.note)];
    const host = group.folded ? el("details", {}, el("summary", { class: `lane-group ${group.kind}` }, ...parts, el("small", {}, plural(group.lanes.length, "track")))) : root;
    if (host === root) root.append(el("div", { class: `lane-group ${group.kind}` }, ...parts));
    else root.append(host);
    for (const lane of group.lanes) drawn.push(addLane(host, lane, store, player));
  }
  if (drawn.length > 14) rulers.push(addRuler(root, store));
  root.append(overlay);

  const plots = (): uPlot[] => [...rulers, ...drawn.map(({ plot }) => plot)];
  const place = (): void => {
    const [from, to] = store.state.view;
    const share = (seconds: number): number => ((seconds - from) / (to - from)) * 100;
    head.style.left = `${share(store.state.time)}%`;
    const utterance = store.report.utterances[store.state.selected];
    chosen.hidden = !utterance;
    if (!utterance) return;
    chosen.style.left = `${share(utterance.start)}%`;
    chosen.style.width = `${Math.max(share(utterance.end) - share(utterance.start), 0.15)}%`;
  };
  const read = (): void => {
    const at = store.state.hover ?? store.state.time;
    const spoken = store.spokenAt(at);
    const position = store.state.hover === null ? store.state.selected : spoken;
    byId("clock").textContent = `${clock(at)} of ${clock(store.report.duration)}${spoken < 0 ? "" : ` · u${spoken + 1}`}`;
    for (const { lane, row, value } of drawn) {
      value.textContent = valueOf(lane, at, position);
      row.classList.toggle("on", lane.present?.(position) ?? false);
    }
  };

  store.on(["view"], () => {
    const [min, max] = store.state.view;
    for (const plot of plots()) plot.setScale("x", { min, max });
    strip.place();
    place();
  });
  store.on(["selected", "time"], place);
  store.on(["selected", "time", "hover"], read);
  store.on(["selected"], strip.mark);
  addEventListener("beforeprint", () => root.querySelectorAll("details").forEach((group) => (group.open = true)));
  store.on(["theme"], () => plots().forEach((plot) => plot.redraw(false)));

  new ResizeObserver(() => {
    const width = plotWidth(root);
    for (const plot of plots()) if (plot.width !== width) plot.setSize({ width, height: plot.height });
    strip.place();
  }).observe(root);
  strip.place();
  strip.mark();
  place();
  read();
}

function plotWidth(root: HTMLElement): number {
  return Math.max(60, Math.floor(root.querySelector(".lane-plot")?.getBoundingClientRect().width ?? 300));
}

interface Group {
  kind: "prediction" | "measured";
  name: string;
  note: string;
  lanes: Lane[];
  /** whether the reader has to open the group: raw measurements of the face say little by themselves */
  folded: boolean;
}

function groups(report: Report): Group[] {
  const inputs = report.model.inputs.map((name) => title(name).toLowerCase()).join(", ");
  const found: Group[] = [
    { kind: "prediction", name: "Predicted", note: `by ${report.model.name} from ${inputs || "its inputs"}`, lanes: predicted(report), folded: false },
  ];
  for (const used of [true, false]) {
    for (const source of ["voice", "face"]) {
      const lanes = report.tracks.filter((track) => track.used === used && track.source === source).map(measuredLane);
      const note = used ? "in the recording; the model reads this channel" : "in the recording, not used by the model";
      found.push({ kind: "measured", name: `${source === "voice" ? "Voice" : "Face"}, measured`, note, lanes, folded: source === "face" });
    }
  }
  return found.filter(({ lanes }) => lanes.length);
}

function predicted(report: Report): Lane[] {
  const { utterances, model } = report;
  const starts = utterances.map(({ start }) => start);
  const lanes: Lane[] = [];
  if (utterances.some(({ sentiment }) => sentiment)) {
    const cut = model.sentimentThreshold;
    // of more than two classes, the most probable one is predicted, and no threshold decides
    const two = utterances.every(({ classes }) => Object.keys(classes).length <= 2);
    lanes.push({
      kind: "prediction",
      label: "Sentiment",
      scale: "P(positive)",
      note: two ? `Probability of positive; positive from ${probability(cut)} on` : "Probability of positive",
      height: 44,
      data: [starts, utterances.map(({ classes }) => classes.positive ?? null)],
      series: { paths: bars(utterances, cut, (value) => color(value >= cut ? "positive" : "negative")), points: { show: false } },
      range: [0, 1],
      overlay: level(cut),
    });
  }
  if (utterances.some(({ degree }) => degree !== null)) {
    const [low, high] = report.ranges.sentiment;
    const middle = (low + high) / 2;
    lanes.push({
      kind: "prediction",
      label: "Sentiment, degree",
      scale: `${plain(low)} to ${plain(high)}`,
      note: `Degree of sentiment, from ${plain(low)} to ${plain(high)}`,
      height: 44,
      data: [starts, utterances.map(({ degree }) => degree)],
      series: { paths: bars(utterances, middle, (value) => color(value >= middle ? "positive" : "negative")), points: { show: false } },
      range: [low, high],
      say: low < 0 ? change : probability,
      overlay: level(middle),
    });
  }
  for (const name of report.emotions) {
    const cut = model.thresholds[name];
    if (!utterances.some(({ emotions }) => name in emotions)) continue;
    lanes.push({
      kind: "prediction",
      label: title(name),
      scale: cut === undefined ? "probability" : `≥ ${probability(cut)}`,
      note: cut === undefined ? "Probability" : `Probability; present from ${probability(cut)} on`,
      height: 25,
      data: [starts, utterances.map(({ emotions }) => emotions[name] ?? null)],
      series: {
        paths: bars(utterances, 0, (_, position) => color(utterances[position]!.labels.includes(name) ? "present" : "below")),
        points: { show: false },
      },
      range: [0, 1],
      present: (position) => utterances[position]?.labels.includes(name) ?? false,
      overlay: cut === undefined ? undefined : level(cut),
    });
  }
  return lanes;
}

function measuredLane(track: Track): Lane {
  const range = axisOf(track);
  const unit = track.unit ? ` ${track.unit}` : "";
  return {
    kind: "measured",
    label: track.name,
    scale: `${end(range[0])} to ${end(range[1])}${unit}`,
    note: track.note,
    height: 31,
    // uPlot asks for at least one moment
    data: track.t.length ? [track.t, track.v] : [[0], [null]],
    series: line(range[0] === 0),
    range,
  };
}

function valueOf(lane: Lane, at: number, position: number): string {
  const values = lane.data[1] as (number | null)[];
  if (lane.kind === "prediction") {
    const value = values[position];
    return value === null || value === undefined ? "–" : (lane.say ?? probability)(value);
  }
  const times = lane.data[0] as number[];
  let low = 0;
  let high = times.length - 1;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (times[middle]! < at) low = middle + 1;
    else high = middle;
  }
  if (low > 0 && at - times[low - 1]! < times[low]! - at) low -= 1;
  const value = values[low];
  return value === null || value === undefined ? "–" : measure(value);
}

function addLane(root: HTMLElement, lane: Lane, store: Store, player: Player): Drawn {
  const value = el("div", { class: "lane-value" });
  const host = el("div", { class: "lane-plot", role: "img", "aria-label": `${lane.label}: ${lane.note || lane.scale}` });
  const label = el("div", { class: "lane-label", title: lane.note || lane.label }, el("span", {}, lane.label), el("small", {}, lane.scale));
  const row = el("div", { class: `lane ${lane.kind}` }, label, host, value);
  root.append(row);
  const { overlay } = lane;
  const plot = new uPlot(
    {
      width: plotWidth(byId("timeline")),
      height: lane.height,
      padding: [2, 0, 2, 0],
      legend: { show: false },
      cursor: pointer(store),
      scales: { x: xScale(store), y: { range: lane.range } },
      axes: [{ show: false }, { show: false }],
      series: [{}, lane.series],
      hooks: { draw: overlay ? [overlay] : [], setSelect: [zoomed(store)], setCursor: [hovered(store)] },
    },
    lane.data,
    host,
  );
  onClick(plot.over, store, player);
  return { lane, plot, row, value };
}

function addRuler(root: HTMLElement, store: Store): uPlot {
  const host = el("div", { class: "lane-plot", "aria-hidden": "true" });
  root.append(el("div", { class: "lane ruler" }, el("div", { class: "lane-label" }), host, el("div", { class: "lane-value" })));
  return new uPlot(
    {
      width: plotWidth(root),
      height: 20,
      padding: [0, 0, 0, 0],
      legend: { show: false },
      cursor: { show: false },
      scales: { x: xScale(store), y: { range: [0, 1] } },
      axes: [
        {
          size: 19,
          gap: 3,
          space: 64,
          incrs: STEPS,
          font: "11px system-ui, sans-serif",
          stroke: () => color("muted"),
          grid: { show: false },
          ticks: { stroke: () => color("rule"), width: 1, size: 4 },
          values: (u, splits) => splits.map((seconds) => (fits(u, seconds) ? clock(seconds, Number.isInteger(seconds) ? 0 : 1) : "")),
        },
        { show: false },
      ],
      series: [{}, {}],
    },
    [[0, store.report.duration], [null, null]],
    host,
  );
}

/** A label at the very edge would be cut. */
function fits(u: uPlot, seconds: number): boolean {
  const at = u.valToPos(seconds, "x");
  return at > EDGE_PX && at < u.width - EDGE_PX;
}

function xScale(store: Store): uPlot.Scale {
  return { time: false, auto: false, range: () => store.state.view };
}

function pointer(store: Store): uPlot.Cursor {
  return {
    sync: { key: "seconds", setSeries: false, scales: ["x", null] },
    y: false,
    points: { show: false },
    drag: { x: true, y: false, setScale: false, dist: DRAG_PX },
    bind: {
      dblclick: () => () => {
        store.setView(0, store.report.duration);
        return null;
      },
    },
  };
}

function zoomed(store: Store): (u: uPlot) => void {
  return (u) => {
    const { left, width } = u.select;
    if (width <= DRAG_PX) return;
    const from = u.posToVal(left, "x");
    const to = u.posToVal(left + width, "x");
    u.setSelect({ left: 0, top: 0, width: 0, height: 0 }, false);
    store.setView(from, to);
  };
}

function hovered(store: Store): (u: uPlot) => void {
  return (u) => {
    const left = u.cursor.left ?? -1;
    store.setHover(left < 0 ? null : u.posToVal(left, "x"));
  };
}

function onClick(over: HTMLElement, store: Store, player: Player): void {
  let pressed = 0;
  over.addEventListener("mousedown", (event) => (pressed = event.clientX));
  over.addEventListener("click", (event) => {
    if (Math.abs(event.clientX - pressed) > DRAG_PX) return;
    const box = over.getBoundingClientRect();
    const [from, to] = store.state.view;
    const seconds = from + ((event.clientX - box.left) / box.width) * (to - from);
    const position = store.spokenAt(seconds);
    if (position >= 0) store.select(position);
    player.seek(seconds);
  });
}

/** The utterances as numbered blocks above the lanes. */
function makeStrip(store: Store, player: Player): { element: HTMLElement; place(): void; mark(): void } {
  const host = el("div", { class: "lane-plot strip" });
  const blocks = store.report.utterances.map((utterance, position) => {
    const name = `u${position + 1}`;
    // the transcript offers the same to the keyboard, one stop instead of many
    const block = el("button", { type: "button", class: "block", tabindex: -1, title: `${name} ${clock(utterance.start)} ${utterance.text.slice(0, 300)}` }, name);
    block.addEventListener("click", () => visit(store, player, position));
    host.append(block);
    return block;
  });
  const label = el("div", { class: "lane-label" }, el("span", {}, "Utterances"));
  const count = el("div", { class: "lane-value" }, String(blocks.length));
  return {
    element: el("div", { class: "lane blocks" }, label, host, count),
    place() {
      const [from, to] = store.state.view;
      const width = host.getBoundingClientRect().width;
      blocks.forEach((block, position) => {
        const { start, end } = store.report.utterances[position]!;
        const share = (end - start) / (to - from);
        block.style.left = `${((start - from) / (to - from)) * 100}%`;
        block.style.width = `${share * 100}%`;
        block.classList.toggle("narrow", share * width < 26);
      });
    },
    mark() {
      blocks.forEach((block, position) => block.classList.toggle("on", position === store.state.selected));
    },
  };
}
