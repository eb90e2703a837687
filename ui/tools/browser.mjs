// Debian's Chromium, driven by playwright-core, for screenshots and tests.
import { existsSync } from 'node:fs';

import { chromium } from 'playwright-core';

const known = ['/usr/bin/chromium', '/usr/bin/chromium-browser', '/usr/bin/google-chrome'];

export async function browser() {
  const executablePath = process.env.BAVN_CHROMIUM ?? known.find((path) => existsSync(path));
  if (!executablePath) throw new Error('no Chromium; tools/setup.sh installs it');
  return chromium.launch({
    executablePath,
    headless: true,
    args: ['--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking', '--disable-component-update', '--disable-sync', '--font-render-hinting=none'],
  });
}

/** The pages that there are: the addresses of src/pages/index.ts with examples in place of their parts. */
export const hubPages = [
  { name: 'overview', path: '/' },
  { name: 'campaigns', path: '/campaigns' },
  { name: 'campaign', path: '/campaigns/1' },
  { name: 'suspicions', path: '/suspicions' },
  { name: 'warnings', path: '/warnings' },
  { name: 'warning', path: '/warnings/w-1' },
  { name: 'warning-new', path: '/warnings/new' },
  { name: 'map', path: '/map' },
  { name: 'nodes', path: '/nodes' },
  { name: 'municipalities', path: '/municipalities' },
  { name: 'municipality', path: '/municipalities/0157' },
  { name: 'exposure', path: '/exposure' },
  { name: 'peers', path: '/peers' },
  { name: 'peer', path: '/peers/1' },
  { name: 'peer-away', path: '/peers/2' },
  { name: 'bulletins', path: '/bulletins' },
  { name: 'bulletin', path: '/bulletins/4' },
  { name: 'subscribers', path: '/bulletins/subscribers' },
  { name: 'bulletin-new', path: '/bulletins/new' },
  { name: 'bulletin-edit', path: '/bulletins/4/edit' },
  { name: 'brakes', path: '/brakes' },
  { name: 'digest-keys', path: '/digest-keys' },
  { name: 'handover', path: '/handover' },
  { name: 'orders', path: '/orders' },
  { name: 'audit', path: '/audit' },
  { name: 'settings', path: '/settings' },
  { name: 'accessibility', path: '/accessibility' },
];

export const nodePages = [
  { name: 'home', path: '/' },
  { name: 'leader', path: '/leader' },
  { name: 'alerts', path: '/alerts' },
  { name: 'alert', path: '/alerts/41' },
  { name: 'received', path: '/warnings' },
  { name: 'received-one', path: '/warnings/w-2026-0014' },
  { name: 'hunt', path: '/hunt?look=url%3Alogin-nordby.example%252Forbes%2Cemail%3Amette.krag%2540sydby.example' },
  { name: 'record', path: '/records/rec-1' },
  { name: 'notices', path: '/notices' },
  { name: 'notice', path: '/notices/n-41c2' },
  { name: 'purges', path: '/purges' },
  { name: 'purge', path: '/purges/n-51bc' },
  { name: 'blocks-node', path: '/blocks' },
  { name: 'blocks-lists', path: '/blocks?tab=lists' },
  { name: 'indicators-node', path: '/indicators' },
  { name: 'rules', path: '/rules' },
  { name: 'rule', path: '/rules/sigma:8f6d6a0c' },
  { name: 'sources', path: '/sources' },
  { name: 'source', path: '/sources/m365.audit' },
  { name: 'source-shippers', path: '/sources/http.proxy' },
  { name: 'left', path: '/left-us' },
  { name: 'mandate', path: '/mandate' },
  { name: 'contacts', path: '/contacts' },
  { name: 'setup', path: '/setup' },
  { name: 'people-node', path: '/people' },
  { name: 'account', path: '/account' },
  { name: 'node-audit', path: '/audit' },
  { name: 'node-settings', path: '/settings' },
];
