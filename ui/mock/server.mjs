// A server that answers like a hub or a node, for working on pages and for the browser tests: what the contract gives as examples, and
// worlds of its own beside (mock/hub.mjs, mock/node.mjs: made-up municipalities). It keeps the rules of the real one where pages feel them:
// the content security policy, problems, ETags, the event stream.
// usage: node mock/server.mjs [--port N] [--dist FOLDER] [--dev]      /mock/as/ROLE signs in; --dev serves the sources with reload
import { createReadStream, existsSync, readFileSync, statSync } from 'node:fs';
import { createServer } from 'node:http';
import { dirname, extname, join, normalize } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';

import { contract } from '../tools/contract.mjs';

const ui = dirname(dirname(fileURLToPath(import.meta.url)));
const types = { '.html': 'text/html; charset=utf-8', '.js': 'text/javascript; charset=utf-8', '.css': 'text/css; charset=utf-8', '.svg': 'image/svg+xml', '.woff2': 'font/woff2', '.json': 'application/json' };
export const policy =
  "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; font-src 'self'; connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'; trusted-types svelte-trusted-html";

const hubRoles = ['analyst', 'duty_lead', 'programme'];
const allRights = ['event_read', 'finding_read', 'indicator_read', 'indicator_write', 'hunt', 'operate', 'alert_read', 'alert_write', 'tenants_read', 'tenants_write', 'publish', 'order', 'audit_read', 'left_us_read', 'people_write', 'settings_write'];
const rightsOf = {
  analyst: ['event_read', 'finding_read', 'indicator_read', 'indicator_write', 'hunt', 'alert_read', 'alert_write', 'tenants_read', 'audit_read'],
  duty_lead: allRights,
  programme: ['tenants_read', 'alert_read'],
  auditor: ['audit_read', 'tenants_read', 'alert_read', 'left_us_read'],
  municipal_it: allRights.filter((right) => right !== 'publish' && right !== 'tenants_write'),
  municipal_leader: ['alert_read', 'left_us_read', 'audit_read'],
  data_protection: ['left_us_read', 'audit_read', 'alert_read'],
  employee: ['report'],
};

/** The example of an answer, as the contract gives it. */
export function exampleOf(operation, whole) {
  for (const code of ['200', '201', '202']) {
    const content = operation.responses?.[code]?.content?.['application/json'];
    if (!content) continue;
    if (content.example !== undefined) return { code: Number(code), body: content.example };
    const first = Object.values(content.examples ?? {})[0];
    if (first) return { code: Number(code), body: follow(first, whole).value };
    return { code: Number(code), body: made(content.schema, whole, 0) };
  }
  return { code: 204 };
}

function follow(thing, whole) {
  let at = thing;
  for (let i = 0; at?.$ref && i < 8; ++i) at = at.$ref.slice(2).split('/').reduce((inside, part) => inside?.[part.replaceAll('~1', '/').replaceAll('~0', '~')], whole);
  return at ?? {};
}

function made(of, whole, depth) {
  const schema = follow(of, whole);
  if (schema.example !== undefined) return schema.example;
  if (schema.examples?.length) return schema.examples[0];
  if (schema.default !== undefined) return schema.default;
  if (schema.enum) return schema.enum[0];
  if (schema.const !== undefined) return schema.const;
  if (schema.allOf) return Object.assign({}, ...schema.allOf.map((one) => made(one, whole, depth)));
  if (schema.oneOf ?? schema.anyOf) return made((schema.oneOf ?? schema.anyOf)[0], whole, depth);
  const type = Array.isArray(schema.type) ? schema.type[0] : schema.type;
  if (type === 'array') return depth > 4 ? [] : [made(schema.items ?? {}, whole, depth + 1)];
  if (type === 'integer' || type === 'number') return schema.minimum ?? 1;
  if (type === 'boolean') return false;
  if (type === 'string') return schema.format === 'date-time' ? '2024-10-25T06:14:00.000Z' : 'text';
  if (schema.properties) return Object.fromEntries(Object.entries(schema.properties).filter(([name]) => depth < 4 && (schema.required ?? []).includes(name)).map(([name, inner]) => [name, made(inner, whole, depth + 1)]));
  return {};
}

export class Refusal extends Error {
  constructor(status, kind, title, more = {}) {
    super(title);
    this.status = status;
    this.body = { type: `/problems/${kind}`, title, status, trace: '4bf92f3577b34da6', ...more };
  }
}

/** routes: "GET /api/x/{id}" -> ({params, query, body, headers, world}) => body, or {status, body, headers}. */
export async function start({ port = 0, dist = join(ui, 'dist'), dev = false } = {}) {
  const whole = contract();
  const worlds = {};
  for (const name of ['hub', 'node']) {
    const path = join(ui, 'mock', `${name}.mjs`);
    worlds[name] = existsSync(path) ? (await import(pathToFileURL(path).href)).default() : { routes: {} };
  }
  const table = [];
  for (const [path, item] of Object.entries(whole.paths))
    for (const [method, operation] of Object.entries(item))
      if (operation && typeof operation === 'object' && 'responses' in operation) table.push({ method: method.toUpperCase(), path, operation });
  const pattern = (path) => new RegExp(`^${path.replace(/\{(\w+)\}/g, '(?<$1>[^/]+)')}$`);
  for (const row of table) row.match = pattern(row.path);
  const own = Object.fromEntries(
    Object.entries(worlds).map(([name, world]) => [
      name,
      Object.entries(world.routes).map(([key, handle]) => {
        const [method, path] = key.split(' ');
        return { method, match: pattern(path), handle };
      }),
    ]),
  );
  const streams = new Set();
  const state = { seq: 100, failing: new Map(), slow: new Map(), history: [] };
  const emit = (kind, subject = '') => {
    const event = { id: ++state.seq, kind, subject: String(subject) };
    state.history.push(event);
    for (const stream of streams) write(stream, event);
  };
  const write = (stream, event) => stream.write(`id: ${event.id}\nevent: ${event.kind}\ndata: ${JSON.stringify({ kind: event.kind, subject: event.subject, seq: event.id })}\n\n`);
  for (const world of Object.values(worlds)) world.started?.(emit);

  const vite = dev ? await (await import('vite')).createServer({ root: ui, server: { middlewareMode: true }, appType: 'custom' }) : undefined;

  async function api(request, response, url, role) {
    const serves = hubRoles.includes(role) || (role === 'auditor' && !cookie(request, 'mock_node')) ? 'hub' : 'node';
    const send = (status, body, headers = {}) => {
      const text = body === undefined ? '' : JSON.stringify(body);
      response.writeHead(status, { 'content-type': status >= 400 ? 'application/problem+json' : 'application/json', 'cache-control': 'no-store', ...headers });
      response.end(text);
    };
    if (url.pathname === '/api/session' && request.method === 'GET') {
      const base = { serves, name: serves === 'hub' ? 'KommuneCERT' : 'Nordby Kommune', language: 'da', advice: [], demonstration: true, ways: { passkey: true, code: false, providers: [] }, ...(serves === 'node' ? { municipality: '0101' } : {}) };
      if (!role) return send(200, { ...base, rights: [], passkeys: 0 });
      return send(200, { ...base, person: { id: '7', name: 'Ida Bruun', roles: [role] }, rights: rightsOf[role] ?? [], passkeys: 1, proved_until: new Date(Date.now() + 600_000).toISOString() });
    }
    if (url.pathname === '/api/session' && request.method === 'DELETE') {
      response.setHeader('set-cookie', 'mock=; Path=/; Max-Age=0');
      return send(204);
    }
    if (!role) return send(401, { type: '/problems/not-signed-in', title: 'Not signed in', status: 401 });
    const place = state.failing.has(url.pathname) ? url.pathname : '*';
    const fault = state.failing.get(place);
    if (fault && --fault.times <= 0) state.failing.delete(place);
    const failing = fault?.status;
    if (failing) return send(failing, { type: `/problems/mock-${failing}`, title: failing === 503 ? 'Busy' : 'It failed', status: failing, trace: '4bf92f3577b34da6' }, failing === 503 ? { 'retry-after': '1' } : {});
    if (state.slow.has(url.pathname)) await new Promise((later) => setTimeout(later, state.slow.get(url.pathname)));
    if (url.pathname === '/api/events') {
      response.writeHead(200, { 'content-type': 'text/event-stream', 'cache-control': 'no-store' });
      response.write(': hello\n\n');
      const last = Number(request.headers['last-event-id'] ?? 0);
      if (last) for (const event of state.history) if (event.id > last) write(response, event);
      streams.add(response);
      const ping = setInterval(() => response.write(': ping\n\n'), 15_000);
      request.on('close', () => (clearInterval(ping), streams.delete(response)));
      return;
    }
    let text = '';
    for await (const chunk of request) text += chunk;
    let body;
    try {
      body = text && /json/.test(request.headers['content-type'] ?? '') ? JSON.parse(text) : text;
    } catch {
      return send(400, { type: '/problems/bad-input', title: 'Not JSON', status: 400 });
    }
    try {
      for (const row of own[serves]) {
        const match = row.method === request.method && row.match.exec(url.pathname);
        if (!match) continue;
        const params = Object.fromEntries(Object.entries(match.groups ?? {}).map(([name, value]) => [name, decodeURIComponent(value)]));
        const got = await row.handle({ params, query: url.searchParams, body, headers: request.headers, role, emit, request, response, send });
        if (response.headersSent) return;
        if (got === undefined) return send(204);
        if (got && typeof got === 'object' && 'status' in got && 'body' in got && typeof got.status === 'number') return send(got.status, got.body, got.headers);
        return send(request.method === 'POST' && got?.created ? 201 : 200, got);
      }
    } catch (refusal) {
      if (refusal instanceof Refusal) return send(refusal.status, refusal.body);
      console.error(refusal);
      return send(500, { type: '/problems/mock', title: 'The mock failed', detail: String(refusal), status: 500 });
    }
    for (const row of table) {
      if (row.method !== request.method || !row.match.test(url.pathname)) continue;
      const { code, body: example } = exampleOf(row.operation, whole);
      return send(code, example, { etag: '"1"' });
    }
    send(404, { type: '/problems/not-found', title: 'Not there', status: 404 });
  }

  const cookie = (request, name) => new RegExp(`(?:^|; )${name}=([^;]+)`).exec(request.headers.cookie ?? '')?.[1];

  const server = createServer((request, response) => {
    const url = new URL(request.url, 'http://mock');
    const role = cookie(request, 'mock') ?? '';
    void (async () => {
      const as = /^\/mock\/as\/(\w+)$/.exec(url.pathname);
      if (as) {
        const next = url.searchParams.get('next') ?? '/';
        response.writeHead(302, { 'set-cookie': `mock=${as[1]}; Path=/`, location: next.startsWith('/') ? next : '/' });
        return response.end();
      }
      if (url.pathname === '/mock/emit') {
        emit(url.searchParams.get('kind') ?? 'campaign.updated', url.searchParams.get('subject') ?? '');
        return response.end();
      }
      if (url.pathname === '/mock/cut') {
        for (const stream of streams) stream.destroy();
        return response.end();
      }
      if (url.pathname === '/mock/fail') {
        const status = Number(url.searchParams.get('status') ?? 0);
        // times: that many requests fail, and then it is well again; without it until told otherwise.
        if (status) state.failing.set(url.searchParams.get('path') ?? '*', { status, times: Number(url.searchParams.get('times') ?? Infinity) });
        else state.failing.clear();
        return response.end();
      }
      if (url.pathname === '/mock/slow') {
        state.slow.set(url.searchParams.get('path') ?? '', Number(url.searchParams.get('ms') ?? 0));
        return response.end();
      }
      if (url.pathname === '/mock/world') {
        const [name, what] = [url.searchParams.get('of') ?? 'hub', url.searchParams.get('is') ?? ''];
        worlds[name].become?.(what);
        return response.end();
      }
      if (url.pathname.startsWith('/api/')) return api(request, response, url, role);
      if (url.pathname === '/sign-in') {
        response.writeHead(200, { 'content-type': types['.html'], 'content-security-policy': policy });
        const roles = Object.keys(rightsOf);
        return response.end(`<!doctype html><title>Sign in</title><h1>Sign in</h1><ul>${roles.map((one) => `<li><a href="/mock/as/${one}">${one}</a></li>`).join('')}</ul>`);
      }
      if (vite) {
        const fresh = !extname(url.pathname) && request.headers.accept?.includes('text/html');
        if (!fresh) return vite.middlewares(request, response, () => (response.writeHead(404), response.end()));
        response.writeHead(200, { 'content-type': types['.html'] });
        return response.end(await vite.transformIndexHtml(url.pathname, readFileSync(join(ui, 'index.html'), 'utf8')));
      }
      let path = normalize(join(dist, decodeURIComponent(url.pathname)));
      if (!path.startsWith(dist) || !existsSync(path) || statSync(path).isDirectory()) path = join(dist, 'index.html');
      response.writeHead(200, { 'content-type': types[extname(path)] ?? 'application/octet-stream', 'content-security-policy': policy, 'x-content-type-options': 'nosniff' });
      createReadStream(path).pipe(response);
    })().catch((trouble) => {
      console.error(trouble);
      response.destroy();
    });
  });
  await new Promise((done) => server.listen(port, '127.0.0.1', done));
  const url = `http://127.0.0.1:${server.address().port}`;
  return {
    url,
    emit,
    async stop() {
      for (const world of Object.values(worlds)) world.stopped?.();
      for (const stream of streams) stream.destroy();
      server.closeAllConnections();
      await new Promise((done) => server.close(done));
      await vite?.close();
    },
  };
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const option = (name) => (process.argv.includes(name) ? process.argv[process.argv.indexOf(name) + 1] : undefined);
  const running = await start({ port: Number(option('--port') ?? 5199), ...(option('--dist') ? { dist: option('--dist') } : {}), dev: process.argv.includes('--dev') });
  console.log(`${running.url}  (sign in: ${running.url}/mock/as/duty_lead, ${running.url}/mock/as/municipal_it)`);
}
