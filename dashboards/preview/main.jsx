// Draws one dashboard (?dashboard=overview) over a live Prometheus and Loki, at its places on the grid. Links, menus of variables and annotations are not drawn.
import React from 'react';
import {createRoot} from 'react-dom/client';
import {ThemeContext} from '@grafana/data';
import {GlobalStyles, PanelChrome} from '@grafana/ui';
import {DRAW, theme} from './panels.jsx';
import {lines, series} from './queries.js';

const CELL = {w: 56, h: 36, gap: 8}; // pixels of a grid cell
const all = import.meta.glob('./dashboards/*.json', {eager: true, import: 'default'});
const dashboard = all[`./dashboards/${new URLSearchParams(location.search).get('dashboard')}.json`];

async function load(panel) {
  if (panel.type === 'text') return {count: 1};
  if (panel.type === 'logs') {
    const found = await lines(panel.targets[0]);
    return {lines: found, count: found.length};
  }
  const answers = await Promise.all(panel.targets.map(series));
  return {answers, count: answers.flat().length};
}

function Panel({panel}) {
  const [loaded, setLoaded] = React.useState();
  const [error, setError] = React.useState();
  React.useEffect(() => { load(panel).then(setLoaded, e => setError(String(e))); }, [panel]);
  const {x, y, w, h} = panel.gridPos;
  const place = {position: 'absolute', left: x * CELL.w, top: y * CELL.h};
  if (panel.type === 'row') return <div style={{...place, fontSize: 16, paddingTop: 8}}>{panel.title}</div>;
  const Draw = DRAW[panel.type];
  return <div className="panel" data-title={panel.title} data-count={loaded?.count} data-error={error} style={place}>
    <PanelChrome title={panel.title} description={panel.description} width={w * CELL.w - CELL.gap} height={h * CELL.h - CELL.gap}>
      {(width, height) => error ? <span>{error}</span> : loaded && <Draw panel={panel} {...loaded} width={width} height={height} />}
    </PanelChrome>
  </div>;
}

const bottom = Math.max(...dashboard.panels.map(p => p.gridPos.y + p.gridPos.h)) * CELL.h;
createRoot(document.getElementById('root')).render(
  <ThemeContext.Provider value={theme}>
    <GlobalStyles />
    <h2 style={{fontSize: 20, fontWeight: 500, margin: '4px 0 8px'}}>{dashboard.title}</h2>
    <div style={{position: 'relative', height: bottom}}>{dashboard.panels.map(p => <Panel key={p.id} panel={p} />)}</div>
  </ThemeContext.Provider>);
