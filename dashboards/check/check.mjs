// node check.mjs DASHBOARD.json...
// Writes typed/NAME.ts for each dashboard, in which the dashboard, its variables, annotations and links, and each panel with its field
// configuration have the types that Grafana publishes in @grafana/schema; "tsc -p ." then finds fields that are unknown or missing and
// values that are not in an enum. What the queries, units and transformations mean is not checked here.
import fs from 'node:fs';
import path from 'node:path';

// The kinds of panel, and the name of the file with their types.
const KINDS = {timeseries: 'TimeSeries', stat: 'Stat', table: 'Table', logs: 'Logs', 'state-timeline': 'StateTimeline', text: 'Text'};
const WITH_FIELDS = ['timeseries', 'table', 'state-timeline'];

const module_ = kind => kind.replace('-', '');
const panelTypes = kind => `import type * as ${module_(kind)} from '@grafana/schema/dist/esm/raw/composable/${module_(kind)}/panelcfg/x/${KINDS[kind]}PanelCfg_types.gen';`;

const PRELUDE = `${Object.keys(KINDS).map(panelTypes).join('\n')}
import type {AnnotationQuery, Dashboard, DashboardLink, FieldConfig, Panel, RowPanel, VariableModel} from '@grafana/schema';

// Literal takes the plain strings of JSON where Grafana's types have a TypeScript enum.
type Literal<T> = T extends string ? \`\${T}\` : T extends (infer U)[] ? Literal<U>[] : T extends object ? {[K in keyof T]: Literal<T[K]>} : T;
type Ref = {type: string, uid: string};

// What the schema leaves to the data sources.
type PrometheusQuery = {refId: string, expr: string, legendFormat?: string, instant?: boolean, range?: boolean, format?: 'table' | 'time_series' | 'heatmap', datasource: Ref};
type LokiQuery = {refId: string, expr: string, queryType: 'range', maxLines?: number, datasource: Ref};
type Tags = {type: 'tags' | 'dashboard', tags: string[], matchAny: boolean, limit: number};
type Annotation = Omit<Literal<AnnotationQuery>, 'target'> & {target?: Tags, expr?: string, step?: string, titleFormat?: string, textFormat?: string, tagKeys?: string};
type Variable = Literal<VariableModel> & {definition?: string};

type Fields<Custom> = {defaults: Omit<Literal<FieldConfig>, 'custom'> & {custom?: Literal<Custom>}, overrides: {matcher: {id: string, options?: unknown}, properties: {id: string, value?: unknown}[]}[]};
type PanelOf<Options, Custom, Query> = Omit<Literal<Panel>, 'options' | 'fieldConfig' | 'targets'> & {options: Literal<Options>, targets: Query[], fieldConfig: Fields<Custom>};
type TextOf<Options> = Omit<Literal<Panel>, 'options'> & {options: Literal<Options>};
`;

const json = value => JSON.stringify(value);

function typeOf(panel) {
  const of = module_(panel.type);
  if (panel.type === 'row') return 'Literal<RowPanel>';
  if (panel.type === 'text') return `TextOf<${of}.Options>`;
  const custom = WITH_FIELDS.includes(panel.type) ? `${of}.FieldConfig` : 'undefined';
  return `PanelOf<${of}.Options, ${custom}, ${panel.datasource.type === 'loki' ? 'LokiQuery' : 'PrometheusQuery'}>`;
}

function typed(file) {
  const {panels, annotations, templating, links, ...rest} = JSON.parse(fs.readFileSync(file, 'utf8'));
  const lines = [PRELUDE, `export const dashboard: Literal<Omit<Dashboard, 'panels' | 'annotations' | 'templating' | 'links'>> = ${json(rest)};`];
  annotations.list.forEach((a, i) => lines.push(`export const annotation${i}: Annotation = ${json(a)};`));
  templating.list.forEach((v, i) => lines.push(`export const variable${i}: Variable = ${json(v)};`));
  links.forEach((l, i) => lines.push(`export const link${i}: Literal<DashboardLink> = ${json(l)};`));
  for (const p of panels) {
    if (p.type !== 'row' && !KINDS[p.type]) throw new Error(`${file}: the panel ${p.title} is a ${p.type}; known are ${Object.keys(KINDS).join(', ')}`);
    lines.push(`// ${p.title}`, `export const panel${p.id}: ${typeOf(p)} = ${json(p)};`);
  }
  return lines.join('\n') + '\n';
}

fs.rmSync('typed', {recursive: true, force: true});
fs.mkdirSync('typed');
for (const file of process.argv.slice(2)) {
  fs.writeFileSync(path.join('typed', `${path.basename(file, '.json')}.ts`), typed(file));
}
