// Where panels are: rows that are closed hide theirs, a panel that repeats is there for each value.
import { Context } from './prometheus';

const COLUMNS = 24;

export type Placed = { panel: any; context: Context; x: number; y: number; w: number; h: number };

function repeated(panel: any, context: Context): Placed[] {
  const { x, y, w, h } = panel.gridPos, variable = context.variables[panel.repeat];
  if (!variable) { return [{ panel, context, x, y, w, h }]; }
  const most = Math.min(panel.maxPerRow || 4, variable.values.length || 1), width = Math.floor(COLUMNS / most);
  return variable.values.map((value, index) => ({
    panel: { ...panel, id: `${panel.id} ${value}`, title: panel.title.replace(`$${panel.repeat}`, value) },
    context: { ...context, variables: { ...context.variables, [panel.repeat]: { ...variable, values: [value], all: false } } },
    x: (index % most) * width, y: y + Math.floor(index / most) * h, w: width, h,
  }));
}

// `open`: rows that are closed are drawn as if somebody had opened them
export function laidOut(dashboard: any, context: Context, open: boolean): Placed[] {
  const placed: Placed[] = [];
  let shift = 0;
  const put = (panel: any) => {
    const found = repeated(panel, context).map((each) => ({ ...each, y: each.y + shift }));
    placed.push(...found);
    return Math.max(0, ...found.map(({ y, h }) => y + h)) - (panel.gridPos.y + panel.gridPos.h + shift);
  };
  for (const panel of dashboard.panels) {
    shift += put(panel);
    if (panel.type !== 'row' || !panel.collapsed || !open) { continue; }
    const top = panel.gridPos.y + 1, bottom = Math.max(...panel.panels.map(({ gridPos }: any) => gridPos.y + gridPos.h));
    const more = Math.max(0, ...panel.panels.map(put));
    shift += bottom - top + more;
  }
  return placed;
}
