// Attention as heat-maps, laid out as Figure 3 of the paper: per modality pair two matrices side by side, a solid line
// between them. Row i, column j: weight of context utterance j for target utterance i.

import { interpolateCividis } from "d3-scale-chromatic";
import uPlot from "uplot";
import { byId, color, el } from "./dom";
import { goTo } from "./evidence";
import { probability, title } from "./format";
import type { Player } from "./player";
import type { Store } from "./state";
import type { Attention } from "./types";

const CELL_PX = { least: 2, most: 36 };
const HEIGHT_PX = { least: 150, most: 520 };
const LABEL_PX = 26;
const AXIS_LEFT = 44;
const AXIS_BOTTOM = 32;
const LEGEND_STEPS = 48;
const DRAG_PX = 6;

/** One figure: a pair of modalities, or one modality attending to itself. */
interface Figure {
  name: string;
  halves: Attention[];
}

/** Where the cells stand on the x axis: the halves one after the other, a gap between them. */
interface Layout {
  count: number;
  halves: number;
  /** in cells */
  gap: number;
  total: number;
}

interface Cell {
  half: number;
  row: number;
  column: number;
}

export function makeAttention(store: Store, player: Player): void {
  const { attention, model, utterances } = store.report;
  if (!attention.length || !utterances.length) return;
  byId("attention-card").hidden = false;
  const figures = pairs(attention, model.inputs);
  const most = Math.max(1e-6, ...attention.map(({ rows }) => rows.reduce((best, row) => row.reduce<number>((high, weight) => Math.max(high, weight ?? 0), best), 0)));
  const gaps = attention.some(({ rows }) => rows.some((row) => row.includes(null)));
  byId("attention-lead").replaceChildren(
    el("span", {}, "Row: the utterance being classified. Column: the context utterance it attends to. Each row of a matrix sums to 1."),
    el("span", { class: "scales" }, gaps && el("span", { class: "gap" }, "modality missing"), legend(most, utterances.length)),
  );

  const host = byId("attention");
  let drawn: uPlot[] = [];
  const show = (wanted: Figure[]): void => {
    drawn.forEach((plot) => plot.destroy());
    host.replaceChildren();
    host.classList.toggle("single", wanted.length === 1);
    const boxes = wanted.map((figure) => {
      const box = el("div", { class: "heat", tabindex: 0, role: "group", "aria-roledescription": "heat map", "aria-label": `${spoken(figure)}. Arrow keys move over the cells.` });
      const letter = figures.length > 1 ? `(${String.fromCharCode(97 + figures.indexOf(figure))}) ` : "";
      host.append(el("figure", {}, el("figcaption", {}, el("b", {}, `${letter}${figure.name}`)), halfTitles(figure), box));
      return box;
    });
    drawn = boxes.map((box, position) => heatmap(box, wanted[position]!, most, store, player));
  };

  if (figures.length > 1) {
    const buttons = [["All", figures] as const, ...figures.map((figure) => [figure.name, [figure]] as const)].map(([name, wanted], position) => {
      const button = el("button", { type: "button", class: "tool", "aria-pressed": String(position === 0) }, name);
      button.addEventListener("click", () => {
        buttons.forEach((other) => other.setAttribute("aria-pressed", String(other === button)));
        show([...wanted]);
      });
      return button;
    });
    byId("attention-pairs").append(...buttons);
  }
  show(figures);
  store.on(["selected", "theme"], () => drawn.forEach((plot) => plot.redraw(false, true)));
  let width = host.clientWidth;
  new ResizeObserver(() => {
    if (Math.abs(host.clientWidth - width) < 2) return;
    width = host.clientWidth;
    for (const plot of drawn) {
      const size = sizeOf(host.lastElementChild as HTMLElement, columnsOf(plot), utterances.length);
      plot.setSize(size);
      fit(plot);
    }
  }).observe(host);
}

/** Pairs in the order of the model's inputs; the half on the left is attended to in the pair's first modality. */
function pairs(attention: Attention[], inputs: string[]): Figure[] {
  const rank = (name: string): number => (inputs.includes(name) ? inputs.indexOf(name) : inputs.length);
  const figures = new Map<string, Figure>();
  for (const half of attention) {
    const names = [...new Set([half.asks, half.on])].sort((one, other) => rank(one) - rank(other));
    const name = names.map(title).join(" – ");
    const figure = figures.get(name) ?? { name, halves: [] };
    figure.halves.push(half);
    figure.halves.sort((one, other) => rank(one.on) - rank(other.on));
    figures.set(name, figure);
  }
  return [...figures.values()];
}

function direction({ asks, on }: Attention): string {
  return asks === on ? `${title(on)}, self-attention` : `${title(asks)} attends to ${title(on)}`;
}

function layoutOf(count: number, halves: number): Layout {
  const gap = Math.max(0.3, count * halves * 0.012);
  return { count, halves, gap, total: count * halves + gap * (halves - 1) };
}

function place({ count, gap }: Layout, half: number, column: number): number {
  return half * (count + gap) + column;
}

function spoken(figure: Figure): string {
  return `Attention ${figure.name}: ${figure.halves.map(direction).join("; ")}`;
}

function halfTitles(figure: Figure): HTMLElement {
  return el("div", { class: "halves" }, ...figure.halves.map((half) => el("span", {}, direction(half))));
}

function legend(most: number, count: number): HTMLElement {
  const ramp = el("span", { class: "ramp" });
  for (let step = 0; step < LEGEND_STEPS; step += 1) {
    const part = el("i");
    part.style.background = interpolateCividis(step / (LEGEND_STEPS - 1));
    ramp.append(part);
  }
  const even = 1 / count;
  if (count > 1 && even < most * 0.9) {
    const mark = el("span", { class: "even" }, `even ${even < 0.01 ? even.toFixed(3) : probability(even)}`);
    mark.style.left = `${(even / most) * 100}%`;
    ramp.append(mark);
  }
  return el("span", { class: "legend", role: "img", "aria-label": `Colour scale from 0, dark, to ${probability(most)}, bright` }, "weight 0", ramp, probability(most));
}

function columnsOf(plot: uPlot): number {
  return (plot.data[0] as number[])[1]!;
}

function sizeOf(box: HTMLElement, columns: number, count: number): { width: number; height: number } {
  const available = Math.max(160, Math.floor(box.clientWidth || 300));
  const cell = Math.max(CELL_PX.least, Math.min(CELL_PX.most, (available - AXIS_LEFT) / columns));
  const height = Math.max(HEIGHT_PX.least, Math.min(HEIGHT_PX.most, Math.round(cell * count))) + AXIS_BOTTOM;
  const width = Math.min(available, Math.max(220, AXIS_LEFT + CELL_PX.most * columns));
  return { width, height };
}

/** The headings of the halves stand over their matrices. */
function fit(plot: uPlot): void {
  const halves = plot.root.closest("figure")?.querySelector<HTMLElement>(".halves");
  if (halves) halves.style.width = `${plot.width}px`;
}

function heatmap(box: HTMLElement, figure: Figure, most: number, store: Store, player: Player): uPlot {
  const count = store.report.utterances.length;
  const layout = layoutOf(count, figure.halves.length);
  const columns = layout.total;
  const view = { x: [0, columns] as [number, number], y: [0, count] as [number, number] };
  const tip = el("div", { class: "tip", hidden: true });
  let cell: Cell | null = null;

  const weight = ({ half, row, column }: Cell): number | null => figure.halves[half]?.rows[row]?.[column] ?? null;
  const sentence = (at: Cell): string => {
    const { asks, on } = figure.halves[at.half]!;
    const value = weight(at);
    return `u${at.row + 1} (${title(asks)}) attends to u${at.column + 1} (${title(on)}): ${value === null ? "missing" : value.toFixed(3)}`;
  };
  const point = (at: Cell | null, said: boolean): void => {
    cell = at;
    tip.hidden = !at;
    if (at) {
      const text = (position: number): string => store.report.utterances[position]!.text.slice(0, 110) || "no transcript";
      tip.replaceChildren(el("b", {}, sentence(at)), el("span", {}, `u${at.row + 1}: ${text(at.row)}`), el("span", {}, `u${at.column + 1}: ${text(at.column)}`));
      const x = plot.valToPos(place(layout, at.half, at.column + 0.5), "x") + plot.over.offsetLeft;
      const y = plot.valToPos(at.row + 1, "y") + plot.over.offsetTop;
      tip.style.left = `${Math.max(0, Math.min(x - 120, box.clientWidth - 250))}px`;
      tip.style.top = `${y + 6}px`;
      if (said) byId("attention-readout").textContent = sentence(at);
    }
    plot.redraw(false, false);
  };

  const plot: uPlot = new uPlot(
    {
      ...sizeOf(box.parentElement!, columns, count),
      padding: [6, 2, 0, 0],
      legend: { show: false },
      cursor: { x: false, y: false, points: { show: false }, drag: { x: true, y: true, setScale: false, dist: DRAG_PX }, bind: { dblclick: () => () => reset() } },
      scales: { x: { time: false, range: () => view.x }, y: { dir: -1, range: () => view.y } },
      axes: [names(layout, true), names(layoutOf(count, 1), false)],
      series: [{}, { paths: cells(figure, layout, most), points: { show: false } }],
      hooks: {
        draw: [(u) => outline(u, layout, store.state.selected, cell)],
        setCursor: [(u) => hover(u)],
        setSelect: [(u) => zoom(u)],
      },
    },
    [[0, columns], [0, count]],
    box,
  );
  box.append(tip);
  fit(plot);

  function hover(u: uPlot): void {
    const { left, top } = u.cursor;
    if (left === undefined || top === undefined || left < 0) {
      if (cell && document.activeElement !== box) point(null, false);
      return;
    }
    const x = u.posToVal(left, "x");
    const row = Math.floor(u.posToVal(top, "y"));
    const half = Math.floor(x / (count + layout.gap));
    const column = Math.floor(x - place(layout, half, 0));
    if (half < 0 || half >= layout.halves || column < 0 || column >= count || row < 0 || row >= count) return;
    const at = { half, row, column };
    if (!cell || cell.half !== at.half || cell.row !== at.row || cell.column !== at.column) point(at, false);
  }
  function show(): void {
    plot.batch(() => {
      plot.setScale("x", { min: view.x[0], max: view.x[1] });
      plot.setScale("y", { min: view.y[0], max: view.y[1] });
    });
  }
  function reset(): null {
    [view.x, view.y] = [[0, columns], [0, count]];
    show();
    return null;
  }
  function zoom(u: uPlot): void {
    const { left, top, width, height } = u.select;
    if (width <= DRAG_PX || height <= DRAG_PX) return;
    const wanted = [u.posToVal(left, "x"), u.posToVal(left + width, "x"), u.posToVal(top, "y"), u.posToVal(top + height, "y")];
    view.x = [Math.max(0, Math.floor(wanted[0]!)), Math.min(columns, Math.ceil(wanted[1]!))];
    view.y = [Math.max(0, Math.floor(wanted[2]!)), Math.min(count, Math.ceil(wanted[3]!))];
    u.setSelect({ left: 0, top: 0, width: 0, height: 0 }, false);
    show();
  }

  let pressed = [0, 0];
  plot.over.addEventListener("mousedown", (event) => (pressed = [event.clientX, event.clientY]));
  plot.over.addEventListener("click", (event) => {
    if (cell && Math.abs(event.clientX - pressed[0]!) + Math.abs(event.clientY - pressed[1]!) <= DRAG_PX) goTo(store, player, cell.row);
  });
  box.addEventListener("blur", () => point(null, false));
  box.addEventListener("keydown", (event) => {
    const from = cell ?? { half: 0, row: Math.max(0, store.state.selected), column: 0 };
    const x = from.half * count + from.column;
    const move: Record<string, [number, number]> = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };
    const by = move[event.key];
    if (event.key === "Escape") return point(null, false);
    if (event.key === "Enter" && cell) goTo(store, player, cell.row);
    else if (!by) return;
    else {
      const next = cell ? Math.max(0, Math.min(count * layout.halves - 1, x + by[0])) : x;
      const row = cell ? Math.max(0, Math.min(count - 1, from.row + by[1])) : from.row;
      point({ half: Math.floor(next / count), row, column: next % count }, true);
    }
    event.preventDefault();
  });
  return plot;
}

/** An axis whose ticks are utterance names at the middle of their cells; repeated for each half. */
function names(layout: Layout, below: boolean): uPlot.Axis {
  const { count, halves } = layout;
  return {
    side: below ? 2 : 3,
    size: below ? AXIS_BOTTOM : AXIS_LEFT,
    gap: 4,
    font: "11px system-ui, sans-serif",
    stroke: () => color("muted"),
    grid: { show: false },
    ticks: { show: false },
    rotate: below ? (u) => (u.bbox.width / devicePixelRatio / Math.max(1, u.scales.x!.max! - u.scales.x!.min!) >= LABEL_PX ? 0 : -90) : 0,
    splits: (u, _axis, min, max) => {
      const pixels = (below ? u.bbox.width : u.bbox.height) / devicePixelRatio / Math.max(1, max - min);
      const every = Math.max(1, Math.ceil((below ? LABEL_PX / 2 : LABEL_PX / 1.8) / pixels));
      const middles: number[] = [];
      for (let half = 0; half < halves; half += 1)
        for (let position = 0; position < count; position += every) {
          const middle = place(layout, half, position + 0.5);
          if (middle > min && middle < max) middles.push(middle);
        }
      return middles;
    },
    values: (_, splits) => splits.map((middle) => `u${Math.floor(middle % (count + layout.gap)) + 1}`),
  };
}

function cells(figure: Figure, layout: Layout, most: number): uPlot.Series.PathBuilder {
  return (u) => {
    const { ctx, bbox } = u;
    const { count } = layout;
    const ys = Array.from({ length: count + 1 }, (_, y) => Math.round(u.valToPos(y, "y", true)));
    ctx.save();
    ctx.beginPath();
    ctx.rect(bbox.left, bbox.top, bbox.width, bbox.height);
    ctx.clip();
    // a fine gap while cells are large enough to bear it
    const gap = u.valToPos(1, "x", true) - u.valToPos(0, "x", true) > 12 * devicePixelRatio ? Math.round(devicePixelRatio) : 0;
    const blank = color("below");
    figure.halves.forEach(({ rows }, half) => {
      const xs = Array.from({ length: count + 1 }, (_, column) => Math.round(u.valToPos(place(layout, half, column), "x", true)));
      rows.forEach((row, y) => {
        row.forEach((weight, column) => {
          ctx.fillStyle = weight === null ? blank : interpolateCividis(Math.min(1, weight / most));
          const [left, top] = [xs[column]!, ys[y]!];
          const inset = weight === null ? Math.round((ys[y + 1]! - top) * 0.42) : 0;
          ctx.fillRect(left, top + inset, Math.max(1, xs[column + 1]! - left - gap), Math.max(1, ys[y + 1]! - top - gap - 2 * inset));
        });
      });
    });
    ctx.restore();
    return null;
  };
}

/** The line between the halves, the chosen utterance's row, and the cell under the pointer. */
function outline(u: uPlot, layout: Layout, selected: number, cell: Cell | null): void {
  const { count, gap, halves } = layout;
  const { ctx, bbox } = u;
  const box = (x0: number, x1: number, y0: number, y1: number): [number, number, number, number] => {
    const [left, top] = [u.valToPos(x0, "x", true), u.valToPos(y0, "y", true)];
    return [left, top, u.valToPos(x1, "x", true) - left, u.valToPos(y1, "y", true) - top];
  };
  ctx.save();
  ctx.beginPath();
  ctx.rect(bbox.left - 1, bbox.top - 1, bbox.width + 2, bbox.height + 2);
  ctx.clip();
  const cellHeight = u.valToPos(1, "y", true) - u.valToPos(0, "y", true);
  ctx.fillStyle = color("ink");
  for (let half = 1; half < halves; half += 1) {
    const x = Math.round(u.valToPos(place(layout, half, -gap / 2), "x", true));
    ctx.fillRect(x - devicePixelRatio, bbox.top, 2 * devicePixelRatio, bbox.height);
  }
  ctx.lineWidth = Math.max(1, Math.min(2, cellHeight / devicePixelRatio / 4)) * devicePixelRatio;
  if (selected >= 0) {
    ctx.strokeStyle = color("mark");
    for (let half = 0; half < halves; half += 1) ctx.strokeRect(...box(place(layout, half, 0), place(layout, half, count), selected, selected + 1));
  }
  if (cell) {
    const x = place(layout, cell.half, cell.column);
    ctx.strokeStyle = color("ink");
    ctx.strokeRect(...box(x, x + 1, cell.row, cell.row + 1));
  }
  ctx.restore();
}
