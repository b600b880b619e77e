// Asks Prometheus and Loki what a panel shows, with the variables of a dashboard filled in.
const asked = new URLSearchParams(location.search);
const SECONDS = Number(asked.get('seconds') ?? 90);
export const STEP = Number(asked.get('step') ?? 1);
export const end = Math.floor(Date.now() / 1000);
export const start = end - SECONDS;

const VARIABLES = {
  __rate_interval: asked.get('interval') ?? '10s', __interval: '5s', __range: `${SECONDS}s`,
  namespace: asked.get('namespace') ?? 'shop', workload: '.*', name: 'web', kind: 'Autoscaler', target: '', job: '.*', instance: '.*',
};

const fill = expr => expr.replace(/\$\{?(\w+)\}?/g, (whole, name) => VARIABLES[name] ?? whole);

export const legend = (format, labels) =>
  (format ?? '').replace(/\{\{\s*(\w+)\s*\}\}/g, (_, name) => labels[name] ?? '') || Object.values(labels).join(' ');

async function get(path, params) {
  const response = await fetch(`${path}?${new URLSearchParams(params)}`);
  const text = await response.text();
  if (!response.ok) throw new Error(text.slice(0, 300));
  return JSON.parse(text).data.result;
}

// series of a target: [{labels, points: [[seconds, number]]}]
export async function series(target) {
  const query = fill(target.expr);
  if (target.instant) {
    const found = await get('/prometheus/api/v1/query', {query, time: end});
    return found.map(s => ({labels: s.metric, points: [[s.value[0], +s.value[1]]]}));
  }
  const found = await get('/prometheus/api/v1/query_range', {query, start, end, step: STEP});
  return found.map(s => ({labels: s.metric, points: s.values.map(([at, value]) => [at, +value])}));
}

// lines of a target, the newest first: [[milliseconds, text]]
export async function lines(target) {
  const found = await get('/logs/loki/api/v1/query_range', {query: fill(target.expr), start, end: end + 1, limit: 100});
  return found.flatMap(s => s.values.map(([at, text]) => [at / 1e6, text])).sort((a, b) => b[0] - a[0]);
}
