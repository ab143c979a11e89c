// What Grafana's data source for Prometheus does to a query: variables, steps, frames, annotations.
// Source: @grafana/prometheus 13.1, @grafana/scenes 9.2.
import { DataFrame, FieldType, MutableDataFrame, rangeUtil, renderLegendFormat } from '@grafana/data';

export type Variable = { values: string[]; all: boolean; allValue?: string; multi: boolean };
export type Context = {
  from: number; // milliseconds since the epoch, as `to`
  to: number;
  url: string; // of Prometheus
  scrapeMs: number;
  variables: Record<string, Variable>;
};
export type Target = {
  refId: string; expr: string; legendFormat?: string; instant?: boolean; format?: string; interval?: string;
};
export type Annotation = {
  name: string; enable: boolean; iconColor: string; expr?: string; step?: string;
  target?: { expr: string; interval?: string };
  titleFormat?: string; textFormat?: string; useValueForTime?: boolean;
};
export type Event = { name: string; time: number; timeEnd: number; color: string; title: string; text: string };
type Labels = Record<string, string>;
type Series = { metric: Labels; value: [number, string]; values: [number, string][] };

const MOST_POINTS = 11000; // Source: Prometheus refuses more

function escaped(value: string): string {
  return value.replace(/\\/g, '\\\\\\\\').replace(/[$^*{}[\]'+?.()|]/g, '\\\\$&');
}

function textOf(variable: Variable): string {
  if (variable.all && variable.allValue) { return variable.allValue; }
  const each = variable.multi ? variable.values.map(escaped) : variable.values;
  return each.length === 1 ? each[0] : `(${each.join('|')})`;
}

function stepMs(context: Context, points: number, interval?: string): number {
  const least = interval ? rangeUtil.intervalToMs(interval) : context.scrapeMs;
  const [from, to] = [context.from, context.to].map((at) => ({ valueOf: () => at }));
  const range: any = { from, to, raw: { from, to } };
  const wanted = rangeUtil.calculateInterval(range, Math.max(1, Math.floor(points)), `${least}ms`).intervalMs;
  return Math.max(wanted, least, Math.ceil((context.to - context.from) / MOST_POINTS / 1000) * 1000);
}

export function interpolated(expr: string, context: Context, step: number): string {
  const rate = Math.max(step + context.scrapeMs, 4 * context.scrapeMs);
  return expr
    .replace(/\$__rate_interval/g, rangeUtil.secondsToHms(rate / 1000))
    .replace(/\$__interval/g, rangeUtil.secondsToHms(step / 1000))
    .replace(/\$__range/g, `${Math.round((context.to - context.from) / 1000)}s`)
    .replace(/\$\{?(\w+)\}?/g, (whole, name) => {
      const variable = context.variables[name];
      return variable ? textOf(variable) : whole;
    });
}

async function asked<T>(context: Context, path: string, query: Record<string, string>): Promise<T> {
  const answer = await (await fetch(`${context.url}${path}?${new URLSearchParams(query)}`)).json();
  if (answer.status !== 'success') { throw new Error(answer.error); }
  return answer.data;
}

async function overTime(context: Context, expr: string, step: number): Promise<Series[]> {
  const s = step / 1000;
  const aligned = (at: number) => String(Math.floor(at / 1000 / s) * s);
  const query = { query: expr, start: aligned(context.from), end: aligned(context.to), step: String(s) };
  return (await asked<{ result: Series[] }>(context, '/api/v1/query_range', query)).result;
}

export async function labelValues(context: Context, query: string): Promise<string[]> {
  const found = query.match(/^label_values\((?:(.+),\s*)?(\w+)\)$/);
  if (!found) { throw new Error(`not understood: ${query}`); }
  const asks: Record<string, string> = { start: String(context.from / 1000), end: String(context.to / 1000) };
  if (found[1]) { asks['match[]'] = interpolated(found[1], context, context.scrapeMs); }
  return asked(context, `/api/v1/label/${found[2]}/values`, asks);
}

function number(text: string): number {
  return text === '+Inf' ? Infinity : text === '-Inf' ? -Infinity : parseFloat(text);
}

const LABEL = /\{\{\s*(.+?)\s*\}\}/g; // a label that is missing is nothing in a legend

function named(target: Target, labels: Labels): string {
  const format = target.legendFormat;
  return format && format !== '__auto' ? format.replace(LABEL, (_, label) => labels[label] ?? '') : labels.__name__ ?? JSON.stringify(labels);
}

function tableOf(target: Target, alone: boolean, found: Series[]): DataFrame {
  const keys = [...new Set(found.flatMap((each) => Object.keys(each.metric)))].sort();
  return new MutableDataFrame({
    refId: target.refId,
    fields: [
      { name: 'Time', type: FieldType.time, values: found.map((each) => each.value[0] * 1000), config: {} },
      ...keys.map((key) => ({
        name: key, type: FieldType.string, values: found.map((each) => each.metric[key] ?? ''), config: {},
      })),
      {
        name: alone ? 'Value' : `Value #${target.refId}`, type: FieldType.number,
        values: found.map((each) => number(each.value[1])), config: {},
      },
    ],
  });
}

function frameOf(target: Target, labels: Labels, points: [number, string][], step: number): DataFrame {
  const name = named(target, labels);
  return new MutableDataFrame({
    refId: target.refId,
    name,
    meta: { custom: { step } },
    fields: [
      { name: 'Time', type: FieldType.time, values: points.map(([at]) => at * 1000), config: { interval: step } },
      {
        name: 'Value', type: FieldType.number, labels, values: points.map(([, value]) => number(value)),
        config: { displayNameFromDS: name },
      },
    ],
  });
}

async function answered(context: Context, target: Target, points: number, alone: boolean): Promise<DataFrame[]> {
  const step = stepMs(context, points, target.interval);
  const expr = interpolated(target.expr, context, step);
  if (!target.instant) {
    return (await overTime(context, expr, step)).map((each) => frameOf(target, each.metric, each.values, step));
  }
  const query = { query: expr, time: String(context.to / 1000) };
  const { result } = await asked<{ result: Series[] }>(context, '/api/v1/query', query);
  return target.format === 'table' ? [tableOf(target, alone, result)]
    : result.map((each) => frameOf(target, each.metric, [each.value], step));
}

export async function run(context: Context, targets: Target[], points: number): Promise<DataFrame[]> {
  const each = targets.map((target) => answered(context, target, points, targets.length === 1));
  return (await Promise.all(each)).flat();
}

// values above 0 make events; steps that follow each other are one
async function eventsOf(context: Context, annotation: Annotation): Promise<Event[]> {
  const interval = annotation.target?.interval || annotation.step || '60s';
  const step = Math.max(rangeUtil.intervalToMs(interval), stepMs(context, 1500));
  const expr = interpolated(annotation.target?.expr || annotation.expr || '', context, step);
  const events: Event[] = [];
  for (const series of await overTime(context, expr, step)) {
    let last: Event | undefined;
    for (const [at, text] of series.values) {
      const value = number(text), time = annotation.useValueForTime ? Math.floor(value) : at * 1000;
      if (!(value > 0)) { continue; }
      if (last && last.timeEnd + step >= time) { last.timeEnd = time; continue; }
      const title = renderLegendFormat(annotation.titleFormat || '', series.metric);
      const said = renderLegendFormat(annotation.textFormat || '', series.metric);
      last = { name: annotation.name, time, timeEnd: time, color: annotation.iconColor, title, text: said };
      events.push(last);
    }
  }
  return events;
}

export async function annotations(context: Context, listed: Annotation[]): Promise<Event[]> {
  const enabled = listed.filter((each) => each.enable && (each.target || each.expr));
  return (await Promise.all(enabled.map((each) => eventsOf(context, each)))).flat();
}
