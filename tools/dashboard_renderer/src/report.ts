// What the tests ask of a picture: window.report.
export type PanelReport = {
  title: string; type: string; empty: string | null; series: number; most: number | null;
  axes: Record<string, [number, number]>; marks: number; cut: string[];
};

export const panels: Record<string, PanelReport> = {};

export function reportOf(id: string, title: string, type: string): PanelReport {
  return panels[id] ??= { title, type, empty: null, series: 0, most: null, axes: {}, marks: 0, cut: [] };
}

const SLACK_PX = 2;
const HIDDEN_PX = 2; // what only a screen reader reads
const overflows = (each: Element) =>
  each.scrollHeight > each.clientHeight + SLACK_PX || each.scrollWidth > each.clientWidth + SLACK_PX;

// what of legends, tables and titles does not fit; only the page's own elements know
export function inspect(): void {
  for (const element of document.querySelectorAll<HTMLElement>('[data-panel]')) {
    const report = panels[element.dataset.panel!];
    for (const legend of element.querySelectorAll('[data-testid*="VizLayout.legend"], [data-testid*="viz-layout-legend"]')) {
      const cut = [legend, ...legend.querySelectorAll('*')]
        .filter((each) => each.clientHeight > HIDDEN_PX && overflows(each));
      if (cut.length) { report.cut.push(`legend: ${(legend.textContent || '').slice(0, 80)}`); }
    }
    for (const cell of element.querySelectorAll('[data-cell]')) {
      if (overflows(cell)) { report.cut.push(`cell: ${cell.textContent}`); }
    }
    const title = element.querySelector('h2, [title]');
    if (title && title.scrollWidth > title.clientWidth + SLACK_PX) { report.cut.push('title'); }
  }
}
