const NAMES: Record<string, string> = {
  none: "No emotion",
  text: "Text",
  acoustic: "Voice",
  visual: "Face",
};

/** How a modality, an emotion or an output is called on the page. */
export function title(name: string): string {
  return NAMES[name] ?? name.charAt(0).toUpperCase() + name.slice(1);
}

/** 75.25 -> "1:15.3" */
export function clock(seconds: number, decimals = 1): string {
  const scale = 10 ** decimals;
  const ticks = Math.round(Math.max(0, seconds) * scale);
  const whole = Math.floor(ticks / scale);
  const hours = Math.floor(whole / 3600);
  const minutes = Math.floor((whole % 3600) / 60);
  const rest = ((whole % 60) + (ticks % scale) / scale).toFixed(decimals);
  const tail = rest.padStart(decimals ? decimals + 3 : 2, "0");
  return hours ? `${hours}:${String(minutes).padStart(2, "0")}:${tail}` : `${minutes}:${tail}`;
}

/** The class of a sentiment's chip or bar: its colour. */
export const tone = (label: string): string => (label === "positive" || label === "negative" ? label : "quiet");

/** A number with a true minus sign and as few digits as it needs. */
export const plain = (value: number): string => String(value).replace("-", "−");

export function probability(value: number): string {
  return value.toFixed(2);
}

export function change(value: number): string {
  const rounded = value.toFixed(2);
  if (rounded === "0.00" || rounded === "-0.00") return "0.00";
  return value > 0 ? `+${rounded}` : rounded.replace("-", "−");
}

/** A measured value with about three digits. */
export function measure(value: number): string {
  const size = Math.abs(value);
  return value.toFixed(size >= 100 ? 0 : size >= 10 ? 1 : 2).replace("-", "−");
}

/** The end of an axis: the same without trailing zeros. */
export function end(value: number): string {
  return String(Number(value.toPrecision(3))).replace("-", "−");
}

export function plural(count: number, one: string): string {
  return `${count} ${one}${count === 1 ? "" : "s"}`;
}
