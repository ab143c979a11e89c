// One panel: its queries are asked, its frames configured, and it is drawn by Grafana's components.
import { Component, ReactNode, useEffect, useState } from 'react';
import { DataFrame, dateTime, FieldType, getFieldDisplayValues, GrafanaTheme2, transformDataFrame } from '@grafana/data';
import { BigValue, PanelChrome, TimeSeries } from '@grafana/ui';
import { lastValueFrom } from 'rxjs';
import { Chart, Heatmap, Timeline } from './charts';
import { configured } from './fields';
import { Context, Event, run } from './prometheus';
import { PanelReport, reportOf } from './report';
import { PlainTable } from './tables';

const STAT_GAP_PX = 10, MARK_PX = 6;

type Place = { x: number; y: number; w: number; h: number };
type Props = Place & { panel: any; context: Context; events: Event[]; theme: GrafanaTheme2; done: () => void };

function Stats({ panel, data, width, height, theme }: Chart) {
  const { options } = panel;
  const values = getFieldDisplayValues({
    fieldConfig: panel.fieldConfig, reduceOptions: options.reduceOptions, theme, data, timeZone: 'utc',
    replaceVariables: (text: string) => text, sparkline: options.graphMode !== 'none',
  });
  const wide = options.orientation !== 'vertical' && width > height, count = values.length;
  const share = (whole: number) => (whole - STAT_GAP_PX * (count - 1)) / count;
  return (
    <div style={{ display: 'flex', flexDirection: wide ? 'row' : 'column', gap: STAT_GAP_PX }}>
      {values.map((value, index) => (
        <BigValue key={index} value={value.display} sparkline={value.sparkline} theme={theme} count={count}
          width={wide ? share(width) : width} height={wide ? height : share(height)} text={options.text}
          colorMode={options.colorMode} graphMode={options.graphMode} justifyMode={options.justifyMode}
          textMode={options.textMode} />
      ))}
    </div>
  );
}

// lines of annotations, put into the canvas as Grafana's plugin for them does
function Marks({ config, events, theme, report }: { config: any; events: Event[]; theme: GrafanaTheme2; report: PanelReport }) {
  const [hooked, setHooked] = useState<any>(null);
  if (config && hooked !== config) {
    setHooked(config);
    config.addHook('draw', (plot: any) => {
      report.marks = events.filter((event) => mark(plot, event, theme)).length;
      for (const [key, { min, max }] of Object.entries<any>(plot.scales)) {
        if (key !== 'x' && min !== null) { report.axes[key.split('/')[0]] = [min, max]; }
      }
    });
  }
  return null;
}

function mark(plot: any, event: Event, theme: GrafanaTheme2): boolean {
  const { ctx, bbox } = plot, bottom = bbox.top + bbox.height;
  const [x, end] = [event.time, event.timeEnd].map((at) => plot.valToPos(at, 'x', true));
  if (end < bbox.left || x > bbox.left + bbox.width) { return false; }
  ctx.save();
  ctx.strokeStyle = ctx.fillStyle = theme.visualization.getColorByName(event.color);
  ctx.lineWidth = 2;
  ctx.setLineDash([5, 5]);
  for (const at of new Set([x, end])) {
    ctx.beginPath();
    ctx.moveTo(at, bbox.top);
    ctx.lineTo(at, bottom);
    ctx.stroke();
  }
  if (end > x) {
    ctx.fillRect(x, bottom, end - x, MARK_PX);
    ctx.globalAlpha = 0.1;
    ctx.fillRect(x, bbox.top, end - x, bbox.height);
  } else {
    ctx.beginPath();
    ctx.moveTo(x, bottom);
    ctx.lineTo(x - MARK_PX, bottom + MARK_PX + 2);
    ctx.lineTo(x + MARK_PX, bottom + MARK_PX + 2);
    ctx.fill();
  }
  ctx.restore();
  return true;
}

type Drawn = Chart & { events: Event[]; report: PanelReport };

// Source: prepareGraphableFields of Grafana's panel 'timeseries': where values are missing, a line has a gap
function withGaps(frame: DataFrame): DataFrame {
  const [times, values] = frame.fields, step = times.config.interval || Infinity;
  const at: number[] = [], shown: (number | null)[] = [];
  times.values.forEach((time: number, index: number) => {
    const last = times.values[index - 1];
    if (index && time - last > step) { at.push(last + step); shown.push(null); }
    at.push(time);
    shown.push(values.values[index]);
  });
  return { ...frame, length: at.length, fields: [{ ...times, values: at }, { ...values, values: shown }] };
}

function Lines({ panel, data, width, height, range, theme, events, report }: Drawn) {
  const timeRange: any = { from: dateTime(range.from), to: dateTime(range.to), raw: range };
  const legend = { showLegend: true, displayMode: 'list', placement: 'bottom', calcs: [], ...panel.options?.legend };
  return (
    <TimeSeries frames={data.map(withGaps)} structureRev={1} timeRange={timeRange} timeZone="utc" width={width} height={height}
      legend={legend}>
      {((config: any) => <Marks {...{ config, events, theme, report }} />) as any}
    </TimeSeries>
  );
}

const KINDS: Record<string, (chart: any) => ReactNode> = {
  stat: Stats, timeseries: Lines, 'state-timeline': Timeline, heatmap: Heatmap, table: PlainTable,
};

function Nothing({ width, height, text, theme }: { width: number; height: number; text: string; theme: GrafanaTheme2 }) {
  const middle = { display: 'flex', alignItems: 'center', justifyContent: 'center' };
  return <div style={{ width, height, ...middle, color: theme.colors.text.secondary }}>{text}</div>;
}

// a panel that cannot be drawn says so, and the others are drawn
class Guard extends Component<{ children: ReactNode; title: string }, { problem?: string }> {
  state: { problem?: string } = {};
  static getDerivedStateFromError(problem: Error) { return { problem: String(problem) }; }
  componentDidCatch(problem: Error) { problems.push(`${this.props.title}: ${problem}`); }
  render() { return this.state.problem ?? this.props.children; }
}

export const problems: string[] = [];

// of a stack it is the sum at one time
function highest(panel: any, found: DataFrame[]): number {
  const stacked = panel.fieldConfig?.defaults?.custom?.stacking?.mode === 'normal', sums = new Map<number, number>();
  let most = 0;
  for (const { fields } of found) {
    const times = fields.find((field) => field.type === FieldType.time)?.values ?? [];
    fields.filter((field) => field.type === FieldType.number).forEach((field) => {
      field.values.forEach((value: number, index: number) => {
        if (!Number.isFinite(value)) { return; }
        const sum = Math.abs(value) + (stacked ? sums.get(times[index]) ?? 0 : 0);
        sums.set(times[index], sum);
        most = Math.max(most, sum);
      });
    });
  }
  return most;
}

async function fetched({ panel, context, theme, w }: Props): Promise<DataFrame[]> {
  let data = await run(context, panel.targets || [], panel.maxDataPoints || w);
  if (panel.transformations?.length) { data = await lastValueFrom(transformDataFrame(panel.transformations, data)); }
  return configured(panel, data, theme);
}

export function Panel(props: Props) {
  const { panel, context, events, theme, x, y, w, h, done } = props;
  const report = reportOf(String(panel.id), panel.title, panel.type);
  const [data, setData] = useState<DataFrame[] | null>(null);
  useEffect(() => {
    fetched(props).then((found) => {
      const values = found.flatMap((frame) => frame.fields.filter((field) => field.type === FieldType.number))
        .flatMap((field) => field.values).filter(Number.isFinite);
      report.series = found.filter((frame) => frame.length).length;
      report.most = values.length ? highest(panel, found) : null;
      report.empty = report.series && (values.length || panel.type === 'table') ? null : panel.fieldConfig?.defaults?.noValue ?? 'No data';
      setData(found);
    }).catch((problem) => {
      problems.push(`${panel.title}: ${problem}`);
      setData([]);
    }).finally(done);
  }, []);
  const draw = (width: number, height: number) => {
    if (!data) { return null; }
    if (report.empty) { return <Nothing {...{ width, height, theme }} text={report.empty} />; }
    const Kind: any = KINDS[panel.type];
    return Kind ? <Kind {...{ panel, data, width, height, theme, events, report, range: context }} />
      : <Nothing {...{ width, height, theme }} text={`this renderer has no ${panel.type}`} />;
  };
  return (
    <div data-panel={panel.id} style={{ position: 'absolute', left: x, top: y }}>
      <PanelChrome title={panel.title} description={panel.description} width={w} height={h}
        padding={panel.type === 'table' ? 'none' : 'md'}>
        {(width: number, height: number) => <Guard title={panel.title}>{draw(width, height)}</Guard>}
      </PanelChrome>
    </div>
  );
}
