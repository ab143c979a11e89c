// A dashboard: its bar with variables, and its panels on the grid of 24 columns.
import { CSSProperties, useRef } from 'react';
import { GrafanaTheme2 } from '@grafana/data';
import { laidOut, Placed } from './layout';
import { Panel } from './panel';
import { Context, Event, Variable } from './prometheus';

const COLUMNS = 24, ROW_PX = 30, GAP_PX = 8, EDGE_PX = 16;

type Props = {
  dashboard: any; context: Context; events: Event[]; theme: GrafanaTheme2; open: boolean; onDone: () => void;
};

const chosen = (variable?: Variable) => (!variable ? '' : variable.all ? 'All' : variable.values.join(' + '));

function Bar({ dashboard, context, theme }: Props) {
  const { components, colors } = theme;
  const chip: CSSProperties = {
    background: components.input.background, border: `1px solid ${components.input.borderColor}`,
    padding: '0 8px', height: 32, display: 'inline-flex', alignItems: 'center',
  };
  const clock = (at: number) => new Date(at).toISOString().slice(11, 19);
  const shown = dashboard.templating.list.filter((each: any) => each.hide !== 2);
  return (
    <>
      <div style={{ display: 'flex', justifyContent: 'space-between', marginBottom: GAP_PX, alignItems: 'center' }}>
        <span style={{ color: colors.text.secondary }}>Dashboards › vllmd › <b>{dashboard.title}</b></span>
        <span style={chip}>{clock(context.from)} to {clock(context.to)} UTC</span>
      </div>
      <div style={{ display: 'flex', gap: GAP_PX, marginBottom: GAP_PX, flexWrap: 'wrap', alignItems: 'center' }}>
        {shown.map((each: any) => (
          <span key={each.name} style={{ display: 'inline-flex' }}>
            <span style={{ ...chip, fontWeight: 500, fontSize: 12 }}>{each.label || each.name}</span>
            <span style={chip}>{each.type === 'datasource' ? 'Prometheus' : chosen(context.variables[each.name])} ▾</span>
          </span>
        ))}
        {(dashboard.annotations?.list || []).map((each: any) => (
          <span key={each.name} style={{ ...chip, border: 'none' }}>{each.name} {each.enable ? '◉' : '○'}</span>
        ))}
      </div>
    </>
  );
}

export function Dashboard(props: Props) {
  const { dashboard, context, events, theme, open, onDone } = props;
  const column = (innerWidth - 2 * EDGE_PX - (COLUMNS - 1) * GAP_PX) / COLUMNS;
  const placed = laidOut(dashboard, context, open);
  const left = useRef(placed.filter(({ panel }) => panel.type !== 'row').length);
  const done = () => {
    left.current -= 1;
    if (!left.current) { onDone(); }
  };
  const place = ({ x, y, w, h }: Placed) => ({
    x: x * (column + GAP_PX), y: y * (ROW_PX + GAP_PX), w: w * column + (w - 1) * GAP_PX, h: h * (ROW_PX + GAP_PX) - GAP_PX,
  });
  const height = Math.max(...placed.map(({ y, h }) => y + h)) * (ROW_PX + GAP_PX);
  const look = { background: theme.colors.background.canvas, color: theme.colors.text.primary };
  return (
    <div style={{ padding: EDGE_PX, ...look, fontFamily: 'Inter', fontSize: 14 }}>
      <Bar {...props} />
      <div style={{ position: 'relative', height }}>
        {placed.map((each) => {
          const { panel } = each, at = place(each);
          const row = { left: at.x, top: at.y, width: at.w, height: at.h };
          return panel.type === 'row' ? (
            <div key={panel.id} style={{ position: 'absolute', ...row, display: 'flex', alignItems: 'center', fontWeight: 500 }}>
              {panel.collapsed && !open ? `› ${panel.title} (${panel.panels.length} panels)` : `⌄ ${panel.title}`}
            </div>
          ) : <Panel key={panel.id} panel={panel} {...at} {...{ events, theme, done }} context={each.context} />;
        })}
      </div>
    </div>
  );
}
