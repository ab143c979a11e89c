// Kinds of panels that npm has no component for: drawn here, as much like Grafana's as is needed.
import {
  DataFrame, formattedValueToString, getFieldDisplayName, getValueFormat, GrafanaTheme2,
} from '@grafana/data';
import { VizLayout, VizLegend } from '@grafana/ui';
import { Range, ticks } from './times';

export type Chart = {
  panel: any; data: DataFrame[]; width: number; height: number; range: Range; theme: GrafanaTheme2;
};

const AXIS_PX = 24;
const GAP_STEPS = 1.5;
const measure = document.createElement('canvas').getContext('2d')!;
measure.font = '12px Inter';
const widthOf = (text: string) => measure.measureText(text).width;

type Stretch = { from: number; to: number; text: string; color?: string };

// neighbours that say the same are one; where a point is missing, there is a gap
function stretches(frame: DataFrame, end: number): Stretch[] {
  const [times, field] = frame.fields, step = frame.meta?.custom?.step as number, found: Stretch[] = [];
  times.values.forEach((at: number, index: number) => {
    const shown = field.display!(field.values[index]), text = formattedValueToString(shown);
    const last = found[found.length - 1], joins = last && at - last.to <= GAP_STEPS * step;
    if (last) { last.to = joins ? at : last.to + step; }
    if (!joins || last.text !== text) { found.push({ from: at, to: at, text, color: shown.color }); }
  });
  return found.map((each, index) => (index < found.length - 1 ? each : { ...each, to: Math.min(end, each.to + step) }));
}

function legendItems(panel: any, data: DataFrame[], theme: GrafanaTheme2) {
  const config = data[0].fields[1].config, steps = config.thresholds?.steps || [];
  const color = (name: string) => theme.visualization.getColorByName(name);
  if (config.color?.mode === 'thresholds' && steps.length > 1 && !config.mappings?.length) {
    const say = (value: number) => formattedValueToString(getValueFormat(config.unit || 'none')(value));
    return steps.map((each, index) => ({
      label: index ? `${say(each.value)}+` : `< ${say(steps[1].value)}`, color: color(each.color), yAxis: 1,
    }));
  }
  const seen = new Map<string, string>();
  data.forEach((frame) => stretches(frame, 0).forEach((each) => each.color && seen.set(each.text, each.color)));
  return [...seen].map(([label, each]) => ({ label, color: each, yAxis: 1 }));
}

export function Timeline({ panel, data, width, height, range, theme }: Chart) {
  const names = data.map((frame) => getFieldDisplayName(frame.fields[1], frame, data));
  const left = Math.min(width / 2, Math.max(...names.map(widthOf)) + 15);
  const opacity = data[0].fields[1].config.custom.fillOpacity / 100;
  const fill = theme.colors.text.primary;
  const legend = panel.options?.legend?.showLegend === false ? null : (
    <VizLayout.Legend placement="bottom">
      <VizLegend items={legendItems(panel, data, theme)} displayMode={'list' as any} placement="bottom" />
    </VizLayout.Legend>
  );
  return (
    <VizLayout width={width} height={height} legend={legend}>
      {(w: number, h: number) => {
        const x = (at: number) => left + ((at - range.from) / (range.to - range.from)) * (w - left);
        const row = (h - AXIS_PX) / data.length, bar = row * 0.9;
        return (
          <svg width={w} height={h} fontSize={12} fontFamily="Inter">
            {data.map((frame, index) => (
              <g key={names[index]} transform={`translate(0 ${index * row + (row - bar) / 2})`}>
                <text x={left - 8} y={bar / 2 + 4} fill={fill} textAnchor="end">{names[index]}</text>
                {stretches(frame, range.to).map((each) => {
                  const from = x(each.from), to = Math.max(from + 1, x(each.to));
                  return (
                    <g key={each.from}>
                      <rect x={from} width={to - from} height={bar} fill={each.color} fillOpacity={opacity} />
                      {widthOf(each.text) + 8 < to - from && bar > 12 ? (
                        <text x={from + 4} y={bar / 2 + 4} fill="#fff">{each.text}</text>
                      ) : null}
                    </g>
                  );
                })}
              </g>
            ))}
            {ticks(range, w - left).map(({ at, text }) => (
              <text key={at} x={x(at)} y={h - 6} fill={fill} textAnchor="middle">{text}</text>
            ))}
          </svg>
        );
      }}
    </VizLayout>
  );
}

const LOW = [60, 25, 5], HIGH = [255, 220, 170], LABELS_PX = 60, ROW_PX = 14;
const shade = (share: number) => `rgb(${LOW.map((from, i) => Math.round(from + (HIGH[i] - from) * share))})`;
const bound = (frame: DataFrame) => (frame.fields[1].labels?.le === '+Inf' ? Infinity : Number(frame.fields[1].labels?.le));

export function Heatmap({ panel, data, width, height, range, theme }: Chart) {
  const buckets = [...data].sort((a, b) => bound(a) - bound(b));
  const at = buckets.map(({ fields: [times, values] }) =>
    new Map<number, number>(times.values.map((time: number, i: number) => [time, values.values[i]])));
  const cells = buckets.flatMap((_, index) => [...at[index]].map(([time, upTo]) => (
    { index, time, count: upTo - (index ? at[index - 1].get(time) ?? 0 : 0) }
  ))).filter(({ count }) => count > 1e-9);
  const most = Math.max(...cells.map(({ count }) => count));
  const h = height - AXIS_PX, row = h / buckets.length, every = Math.ceil(ROW_PX / row);
  const x = (time: number) => LABELS_PX + ((time - range.from) / (range.to - range.from)) * (width - LABELS_PX);
  const unit = getValueFormat(panel.options?.yAxis?.unit || panel.fieldConfig?.defaults?.unit || 'none');
  const step = buckets[0].meta?.custom?.step as number, fill = theme.colors.text.primary;
  return (
    <svg width={width} height={height} fontSize={11} fontFamily="Inter" fill={fill}>
      {cells.map(({ index, time, count }) => (
        <rect key={`${index} ${time}`} x={Math.max(LABELS_PX, x(time - step))} y={h - (index + 1) * row}
          width={Math.max(1, x(time) - Math.max(LABELS_PX, x(time - step)) - 1)} height={Math.max(1, row - 1)}
          fill={shade(Math.sqrt(count / most))} />
      ))}
      {buckets.map((frame, index) => index % every ? null : (
        <text key={index} x={LABELS_PX - 6} y={h - (index + 1) * row + 10} textAnchor="end">
          {bound(frame) === Infinity ? '+Inf' : formattedValueToString(unit(bound(frame)))}
        </text>
      ))}
      {ticks(range, width - LABELS_PX).map(({ at: time, text }) => (
        <text key={time} x={x(time)} y={h + 16} textAnchor="middle">{text}</text>
      ))}
    </svg>
  );
}
