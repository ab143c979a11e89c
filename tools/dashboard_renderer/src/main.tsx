// ?d=NAME&from=MS&to=MS&scrape=S&prometheus=URL[&theme=light][&open=1][&var-NAME=VALUE …]: draws that
// dashboard, with `open` also what is in closed rows.
// <body data-ready> is set once all panels are drawn; window.problems has what went
// wrong, window.report what was drawn.
import { createRoot } from 'react-dom/client';
import {
  createTheme, standardEditorsRegistry, standardTransformers, standardTransformersRegistry, ThemeContext,
} from '@grafana/data';
import { GlobalStyles } from '@grafana/ui';
import '@fontsource/inter/latin-400.css';
import '@fontsource/inter/latin-500.css';
import '@fontsource/inter/latin-600.css';
import '@fontsource/roboto-mono/latin-400.css';
import { Dashboard } from './dashboard';
import { problems } from './panel';
import { annotations, Context, labelValues, Variable } from './prometheus';
import { inspect, panels } from './report';

const SETTLED_MS = 600; // charts draw in the frames after they have data

// what Grafana's start leaves in its page
Object.assign(window, {
  grafanaBootData: { settings: { featureToggles: {}, buildInfo: {} }, user: {}, assets: {} },
  __grafana_public_path__: '/public/',
  problems,
});
standardEditorsRegistry.setInit(() => []);
standardTransformersRegistry.setInit(() => {
  const known = Object.values(standardTransformers).filter((each: any) => each?.id && each?.operator);
  const unique = new Map(known.map((each: any) => [each.id, each]));
  return [...unique.values()].map((each: any) => ({
    id: each.id, name: each.name, transformation: () => Promise.resolve(each), aliasIds: [],
    editor: (() => null) as any, imageDark: '', imageLight: '',
  })) as any;
});

async function variable(context: Context, described: any, given: string[]): Promise<Variable> {
  const query = typeof described.query === 'string' ? described.query : described.query.query;
  const options = await labelValues(context, query);
  const all = !given.length && Boolean(described.includeAll);
  const values = given.length ? given : all ? options : options.slice(0, 1);
  return { values, all, allValue: described.allValue, multi: Boolean(described.multi) };
}

const ready = () => setTimeout(() => {
  inspect();
  document.body.setAttribute('data-ready', '1');
}, SETTLED_MS);

async function main(): Promise<void> {
  const asked = new URLSearchParams(location.search);
  const theme = createTheme({ colors: { mode: asked.get('theme') === 'light' ? 'light' : 'dark' } });
  const dashboard = await (await fetch(`/dashboards/${asked.get('d')}.json`)).json();
  const context: Context = {
    from: Number(asked.get('from')), to: Number(asked.get('to')), scrapeMs: 1000 * Number(asked.get('scrape')),
    url: asked.get('prometheus') || '', variables: {},
  };
  for (const each of dashboard.templating.list) {
    if (each.type !== 'query') { continue; }
    context.variables[each.name] = await variable(context, each, asked.getAll(`var-${each.name}`));
  }
  const events = await annotations(context, dashboard.annotations?.list || []);
  Object.assign(window, { report: { panels, events } });
  await document.fonts.load('12px Inter');
  createRoot(document.getElementById('root')!).render(
    <ThemeContext.Provider value={theme}>
      <GlobalStyles />
      <Dashboard {...{ dashboard, context, events, theme }} open={asked.has('open')} onDone={ready} />
    </ThemeContext.Provider>,
  );
}

main().catch((problem) => {
  problems.push(`the dashboard: ${problem?.stack || problem}`);
  ready();
});
