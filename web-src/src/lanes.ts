// What is drawn inside one lane of the timeline: bars over utterances, or a measured line.

import uPlot from "uplot";
import { color } from "./dom";
import type { Track, Utterance } from "./types";

/** One lane: its data, how uPlot draws it, and what it says at a moment or for an utterance. */
export interface Lane {
  kind: "prediction" | "measured";
  label: string;
  /** second line of the label: scale, threshold */
  scale: string;
  note: string;
  height: number;
  data: uPlot.AlignedData;
  series: uPlot.Series;
  range: [number, number];
  /** how its value at an utterance is written; a probability unless given */
  say?: (value: number) => string;
  /** whether the label holds for an utterance */
  present?: (position: number) => boolean;
  /** drawn over the series */
  overlay?: (u: uPlot) => void;
}

type Fill = (value: number, position: number) => string;

/** A bar per utterance, as wide as it lasts, from `base` to its value. */
export function bars(utterances: Utterance[], base: number, fill: Fill): uPlot.Series.PathBuilder {
  return (u, seriesIndex) => {
    const values = u.data[seriesIndex] as (number | null)[];
    const { ctx } = u;
    const [from, to] = [u.scales.x!.min!, u.scales.x!.max!];
    const gap = Math.min(2, devicePixelRatio);
    const zero = u.valToPos(base, "y", true);
    ctx.save();
    ctx.beginPath();
    ctx.rect(u.bbox.left, u.bbox.top, u.bbox.width, u.bbox.height);
    ctx.clip();
    utterances.forEach(({ start, end }, position) => {
      const value = values[position];
      if (value === null || value === undefined || end < from || start > to) return;
      const left = u.valToPos(start, "x", true);
      const right = u.valToPos(end, "x", true);
      const top = u.valToPos(value, "y", true);
      const width = Math.max(2 * devicePixelRatio, right - left - (right - left > 3 * gap ? gap : 0));
      // a probability of nothing still shows that there is an answer
      const height = Math.max(devicePixelRatio, Math.abs(top - zero));
      ctx.fillStyle = fill(value, position);
      ctx.fillRect(left, value >= base ? zero - height : zero, width, height);
    });
    ctx.restore();
    return null;
  };
}

/** A dashed line across the lane. */
export function level(value: number): (u: uPlot) => void {
  return (u) => {
    const y = Math.round(u.valToPos(value, "y", true)) + 0.5;
    const { ctx } = u;
    ctx.save();
    ctx.strokeStyle = color("threshold");
    ctx.lineWidth = devicePixelRatio;
    ctx.setLineDash([4 * devicePixelRatio, 3 * devicePixelRatio]);
    ctx.beginPath();
    ctx.moveTo(u.bbox.left, y);
    ctx.lineTo(u.bbox.left + u.bbox.width, y);
    ctx.stroke();
    ctx.restore();
  };
}

/** A line; the area under it is filled only where the axis starts at zero, because only there it means an amount. */
export function line(fromZero: boolean): uPlot.Series {
  return {
    stroke: () => color("measured"),
    ...(fromZero && { fill: () => color("measured-soft") }),
    width: 1.25,
    points: { show: false },
    spanGaps: false,
  };
}

/** The ends of a track's axis: given, or from its values with a little room. */
export function axisOf(track: Track): [number, number] {
  if (track.axis && track.axis[1] > track.axis[0]) return track.axis;
  let low = Infinity;
  let high = -Infinity;
  for (const value of track.v) {
    if (value === null) continue;
    low = Math.min(low, value);
    high = Math.max(high, value);
  }
  if (low > high) return [0, 1];
  const room = (high - low) * 0.06 || Math.abs(high) * 0.1 || 1;
  return [low - room, high + room];
}
