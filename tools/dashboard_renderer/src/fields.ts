// A panel's field configuration, given to frames as Grafana does: defaults, then overrides.
import {
  applyFieldOverrides, DataFrame, Field, FieldType, getFieldDisplayName, GrafanaTheme2,
} from '@grafana/data';

const NOT_HIDDEN = { tooltip: false, viz: false, legend: false };
// what the plugins of panels set where a dashboard says nothing
const CUSTOM: Record<string, object> = {
  timeseries: {
    drawStyle: 'line', lineInterpolation: 'linear', lineWidth: 1, fillOpacity: 0, gradientMode: 'none',
    showPoints: 'auto', pointSize: 5, stacking: { mode: 'none', group: 'A' }, axisPlacement: 'auto',
    axisLabel: '', axisColorMode: 'text', axisBorderShow: false, scaleDistribution: { type: 'linear' },
    axisCenteredZero: false, hideFrom: NOT_HIDDEN, thresholdsStyle: { mode: 'off' }, spanNulls: false,
    insertNulls: false, barAlignment: 0,
  },
  'state-timeline': { fillOpacity: 70, lineWidth: 0, hideFrom: NOT_HIDDEN, spanNulls: false },
  table: { align: 'auto', cellOptions: { type: 'auto' }, inspect: false },
};

function set(config: any, id: string, value: unknown): void {
  const path = id.split('.');
  const last = path.pop()!;
  let place = config;
  for (const key of path) { place = place[key] ??= {}; }
  place[last] = value;
}

function matches(matcher: { id: string; options: any }, field: Field, frame: DataFrame, all: DataFrame[]): boolean {
  const name = getFieldDisplayName(field, frame, all);
  switch (matcher.id) {
    case 'byName': return name === matcher.options;
    case 'byFrameRefID': return frame.refId === matcher.options;
    case 'byType': return field.type === matcher.options;
    case 'byRegexp': {
      const [, pattern, flags] = String(matcher.options).match(/^\/(.*)\/(\w*)$/) || ['', matcher.options, ''];
      return new RegExp(pattern, flags).test(name);
    }
    default: throw new Error(`this renderer knows no matcher ${matcher.id}`);
  }
}

function own(panel: any, field: Field): any {
  const custom = CUSTOM[panel.type] || {}, given = panel.fieldConfig?.defaults || {};
  if (field.type === FieldType.time && panel.type !== 'table') { return { ...field.config, custom: { ...custom } }; }
  const color = given.color || { mode: panel.type === 'timeseries' ? 'palette-classic' : 'thresholds' };
  const defaults = structuredClone({ ...given, color, custom: { ...custom, ...given.custom } });
  if (field.type !== FieldType.number) {
    Object.assign(defaults, { unit: field.type === FieldType.time ? undefined : 'string', min: undefined });
  }
  return { ...defaults, ...field.config };
}

export function configured(panel: any, data: DataFrame[], theme: GrafanaTheme2): DataFrame[] {
  for (const frame of data) {
    for (const field of frame.fields) {
      if (panel.type === 'timeseries' && field.type === FieldType.number) {
        field.values = field.values.map((value) => (Number.isFinite(value) ? value : null));
      }
      field.config = own(panel, field);
      if (field.type !== FieldType.number && panel.type !== 'table') { continue; }
      for (const override of panel.fieldConfig?.overrides || []) {
        if (!matches(override.matcher, field, frame, data)) { continue; }
        for (const { id, value } of override.properties) { set(field.config, id, structuredClone(value)); }
      }
    }
  }
  return applyFieldOverrides({
    data, fieldConfig: { defaults: {}, overrides: [] }, theme, timeZone: 'utc', replaceVariables: (text) => text,
  });
}
