// An axis of time for what is drawn here.
const STEPS_S = [60, 120, 300, 600, 900, 1800, 3600, 7200, 10800, 21600, 43200];
const LABEL_PX = 90;

export type Range = { from: number; to: number };

export function ticks(range: Range, width: number): { at: number; text: string }[] {
  const most = Math.max(2, Math.floor(width / LABEL_PX));
  const spanS = (range.to - range.from) / 1000;
  const step = 1000 * (STEPS_S.find((each) => spanS / each <= most) ?? 86400);
  const found = [];
  for (let at = Math.ceil(range.from / step) * step; at < range.to; at += step) {
    found.push({ at, text: new Date(at).toISOString().slice(11, 16) });
  }
  return found;
}
