// One component for each kind of panel. TimeSeries, BigValue and PanelChrome are Grafana's own; tables, state timelines, logs and Markdown are drawn
// by hand, because @grafana/ui has nothing for them outside of Grafana.
import React from 'react';
import {createTheme, dateTime, FieldType, getDisplayProcessor, getValueFormat, formattedValueToString, reduceField, renderMarkdown, toDataFrame} from '@grafana/data';
import {BigValue, TimeSeries} from '@grafana/ui';
import {end, legend, start, STEP} from './queries.js';

export const theme = createTheme({colors: {mode: 'dark'}});
const timeRange = {from: dateTime(start * 1000), to: dateTime(end * 1000), raw: {from: 'now-1m', to: 'now'}};
const color = name => theme.visualization.getColorByName(name);

// What Grafana's core does to each field before a panel sees it.
function prepare(field, panel, seriesIndex, name) {
  const {defaults, overrides} = panel.fieldConfig;
  field.config = {...defaults, ...field.config, custom: {axisPlacement: 'auto', drawStyle: 'line', lineWidth: 1, ...defaults.custom}};
  for (const {matcher, properties} of overrides) {
    if (!new RegExp(`^(${matcher.options})$`).test(name)) continue;
    for (const {id, value} of properties) {
      if (id.startsWith('custom.')) field.config.custom[id.slice('custom.'.length)] = value;
      else field.config[id] = value;
    }
  }
  const finite = field.values.filter(Number.isFinite);
  const min = Math.min(...finite), max = Math.max(...finite);
  field.state = {seriesIndex, range: {min, max, delta: max - min}}; // BigValue's sparkline throws without a range
  field.display = getDisplayProcessor({field, theme, timeZone: 'browser'});
}

function frames(panel, answers) {
  const out = [];
  panel.targets.forEach((target, i) => answers[i].forEach(s => {
    const name = legend(target.legendFormat, s.labels);
    out.push(toDataFrame({
      refId: target.refId, name,
      fields: [
        // Grafana's data source gives the interval, by which a chart knows where there is a gap.
        {name: 'Time', type: FieldType.time, config: {interval: STEP * 1000}, values: s.points.map(([at]) => at * 1000)},
        {name: 'Value', type: FieldType.number, labels: s.labels, config: {displayNameFromDS: name}, values: s.points.map(([, v]) => v)},
      ],
    }));
  }));
  out.forEach((frame, i) => frame.fields.forEach(field => prepare(field, panel, i, frame.name)));
  return out;
}

function Stat({panel, answers, width, height}) {
  const all = frames(panel, answers);
  if (!all.length) return <BigValue width={width} height={height} theme={theme} colorMode="none" graphMode="none" value={{text: 'none', numeric: NaN}} />;
  const [x, y] = all[0].fields;
  const shown = panel.options.textMode === 'name' ? {text: all[0].name, numeric: 0} : y.display(reduceField({field: y, reducers: ['lastNotNull']}).lastNotNull);
  return <BigValue width={width} height={height} theme={theme} colorMode={panel.options.colorMode} graphMode={panel.options.graphMode}
    value={shown} sparkline={x.values.length > 1 ? {x, y} : undefined} />;
}

const Nothing = () => <div style={{height: '100%', display: 'grid', placeItems: 'center', opacity: 0.6}}>No data</div>;

function Chart({panel, answers, width, height}) {
  const all = frames(panel, answers);
  if (!all.length) return <Nothing />; // TimeSeries throws
  return <TimeSeries frames={all} width={width} height={height} timeRange={timeRange} timeZone="browser"
    legend={panel.options.legend} options={panel.options} />;
}

function Timeline({panel, answers, width}) {
  const meanings = Object.assign({}, ...panel.fieldConfig.defaults.mappings.map(m => m.options));
  const at = seconds => 200 + (seconds - start) / (end - start) * (width - 210);
  const rows = panel.targets.flatMap((target, i) => answers[i].map(s => ({name: legend(target.legendFormat, s.labels), points: s.points})));
  return <svg width={width} height={rows.length * 26 + 8} style={{display: 'block'}}>{rows.map((row, i) => <g key={row.name}>
    <text x={190} y={i * 26 + 20} textAnchor="end" fill="#ccccdc" fontSize={12}>{row.name}</text>
    {row.points.filter(([, v]) => meanings[v]).map(([t, v]) =>
      <rect key={t} x={at(t)} y={i * 26 + 4} width={at(STEP) - at(0) + 0.6} height={22} fill={color(meanings[v].color)} opacity={0.8} />)}
  </g>)}</svg>;
}

// Merges the answers of all targets by their labels, as the transformation "merge" does.
function Table({panel, answers}) {
  const {include} = panel.transformations.find(t => t.id === 'filterFieldsByName').options;
  const {renameByName} = panel.transformations.find(t => t.id === 'organize').options;
  const keys = Object.keys(answers[0][0]?.labels ?? {}).filter(k => answers.every(a => a.every(s => k in s.labels)));
  const rows = new Map();
  answers.forEach((answer, i) => answer.forEach(s => {
    const key = keys.map(k => s.labels[k]).join(' ');
    rows.set(key, {...rows.get(key), ...s.labels, [`Value #${panel.targets[i].refId}`]: s.points[0][1]});
  }));
  const unit = name => panel.fieldConfig.overrides.find(o => o.matcher.options === name)?.properties.find(p => p.id === 'unit')?.value ?? panel.fieldConfig.defaults.unit;
  const show = (name, v) => typeof v === 'number' ? formattedValueToString(getValueFormat(unit(renameByName[name]))(v)) : v;
  const cell = {textAlign: 'left', padding: '6px 10px', borderBottom: '1px solid #2f3136', fontSize: 13};
  return <table style={{width: '100%', borderCollapse: 'collapse'}}>
    <thead><tr>{include.names.map(n => <th key={n} style={{...cell, color: '#6e9fff'}}>{renameByName[n]}</th>)}</tr></thead>
    <tbody>{[...rows.values()].map((row, i) => <tr key={i}>{include.names.map(n => <td key={n} style={cell}>{show(n, row[n])}</td>)}</tr>)}</tbody>
  </table>;
}

function Logs({lines}) {
  if (!lines.length) return <Nothing />;
  return <div style={{fontFamily: 'Roboto Mono, monospace', fontSize: 12, lineHeight: '18px', overflow: 'hidden', height: '100%'}}>
    {lines.map(([at, text], i) => <div key={i}><span style={{opacity: 0.6}}>{new Date(at).toLocaleTimeString('en-GB')}</span> {text}</div>)}
  </div>;
}

const Text = ({panel}) => <div dangerouslySetInnerHTML={{__html: renderMarkdown(panel.options.content)}} />;

export const DRAW = {stat: Stat, timeseries: Chart, 'state-timeline': Timeline, table: Table, logs: Logs, text: Text};
