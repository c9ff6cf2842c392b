// The shape of the data block that src/mien/video/page.py writes.

export interface Utterance {
  index: number;
  start: number;
  end: number;
  text: string;
  /** label, and the probability of this label */
  sentiment: [string, number] | null;
  /** class of sentiment -> probability; empty where the model says none */
  classes: Record<string, number>;
  /** predicted classes, labels and values of further tasks, each as one short text */
  further: string[];
  emotions: Record<string, number>;
  labels: string[];
  /** modality, reason */
  missing: [string, string][];
  speaker: string | null;
  /** why no prediction was made although something was heard or read; empty if one was made */
  notJudged: string;
  /** modality -> output -> probability with all modalities minus probability without this one */
  contributions: Record<string, Record<string, number>>;
  /** of sentiment, within `Report.ranges`; null where the model says none */
  degree: number | null;
  /** emotion -> degree; empty where the model says none */
  degrees: Record<string, number>;
}

export interface Attention {
  /** modality of the target utterance (rows) */
  asks: string;
  /** modality whose utterances are attended to (columns) */
  on: string;
  rows: (number | null)[][];
}

export interface Track {
  name: string;
  unit: string;
  source: string;
  used: boolean;
  note: string;
  axis: [number, number] | null;
  t: number[];
  v: (number | null)[];
}

export interface Model {
  name: string;
  inputs: string[];
  tasks: string[];
  sentimentThreshold: number;
  thresholds: Record<string, number>;
  protocol: string;
  caveats: string[];
  facts: [string, string][];
}

export interface Report {
  duration: number;
  model: Model;
  /** smallest and largest degree */
  ranges: { sentiment: [number, number]; emotion: [number, number] };
  emotions: string[];
  notes: string[];
  utterances: Utterance[];
  attention: Attention[];
  tracks: Track[];
}
