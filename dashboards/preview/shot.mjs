// node shot.mjs PORT OUT NAME...: a picture of each dashboard of "vite preview". Fails where a panel shows an error or nothing, or the page complains.
// From the environment: SECONDS_BACK, STEP, INTERVAL and NAMESPACE of what is shown, and EMPTY, the panels that may show nothing: NAME/TITLE|NAME/TITLE.
import path from 'node:path';
import {chromium} from 'playwright-core';

const [port, out, ...names] = process.argv.slice(2);
const browser = await chromium.launch({
  executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium',
  args: ['--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking', '--disable-component-update', '--disable-sync'],
});
let bad = 0;
const mayBeEmpty = (process.env.EMPTY ?? '').split('|');
const shown = new URLSearchParams();
for (const [name, variable] of [['seconds', 'SECONDS_BACK'], ['step', 'STEP'], ['interval', 'INTERVAL'], ['namespace', 'NAMESPACE']]) {
  if (process.env[variable]) shown.set(name, process.env[variable]);
}
try {
  for (const name of names) {
    const page = await browser.newPage({viewport: {width: 1360, height: 800}});
    page.on('pageerror', e => { bad++; console.log(`${name}: page: ${String(e).slice(0, 400)}`); });
    await page.goto(`http://127.0.0.1:${port}/?dashboard=${name}&${shown}`);
    await page.waitForFunction(() => [...document.querySelectorAll('.panel')].every(p => p.dataset.count || p.dataset.error), null, {timeout: 30000});
    await page.waitForTimeout(1500); // the charts are drawn after they have their data
    const panels = await page.$$eval('.panel', all => all.map(p => [p.dataset.title, p.dataset.count ?? '0', p.dataset.error ?? '']));
    for (const [title, count, error] of panels) {
      if (error || (count === '0' && !mayBeEmpty.includes(`${name}/${title}`))) { bad++; console.log(`${name}: ${title}: ${error || 'nothing'}`); }
    }
    console.log(`${name}: ${panels.length} panels`);
    await page.screenshot({path: path.join(out, `${name}.png`), fullPage: true});
    await page.close();
  }
} finally {
  await browser.close();
}
process.exitCode = bad ? 1 : 0;
