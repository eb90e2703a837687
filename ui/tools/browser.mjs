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
  { name: 'brakes', path: '/brakes' },
  { name: 'digest-keys', path: '/digest-keys' },
  { name: 'handover', path: '/handover' },
  { name: 'orders', path: '/orders' },
  { name: 'audit', path: '/audit' },
  { name: 'settings', path: '/settings' },
  { name: 'accessibility', path: '/accessibility' },
];
