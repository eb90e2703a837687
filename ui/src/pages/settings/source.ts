// The settings of whoever serves, in one shape.
import { api, tagged } from '$lib/api';
import type { components } from '$gen/api';
import type { HubSetting } from '$lib/hub';

export interface Settings {
  items: HubSetting[];
  restart_needed: boolean;
}
export interface Tagged {
  data: Settings;
  etag: string;
}

type OfNode = components['schemas']['NodeSettings'];

function likeTheHub(said: OfNode): Settings {
  return {
    restart_needed: said.restart_needed,
    items: said.items.map((one) => ({
      name: one.name,
      type: one.type === 'boolean' ? 'flag' : one.type,
      value: one.value,
      ...(one.pending === undefined ? {} : { pending: one.pending }),
      fallback: one.default,
      unit: one.unit,
      least: one.min,
      most: one.max,
      reason: one.doc,
      restart: one.restart,
      changed: !one.is_default,
    })),
  };
}

export async function read(serves: 'hub' | 'node'): Promise<Tagged> {
  if (serves === 'node') {
    const got = await tagged(api.GET('/api/node/settings'));
    return { data: likeTheHub(got.data as OfNode), etag: got.etag };
  }
  const got = await tagged(api.GET('/api/settings'));
  return { data: got.data as Settings, etag: got.etag };
}

/** value null: as it came. A node wants to know why. */
export async function write(serves: 'hub' | 'node', etag: string, name: string, value: HubSetting['value'] | null, why: string): Promise<Tagged> {
  const header = { 'If-Match': etag };
  if (serves === 'node') {
    const got = await tagged(api.PUT('/api/node/settings', { params: { header }, body: { changes: { [name]: value }, why } }));
    return { data: likeTheHub(got.data as OfNode), etag: got.etag };
  }
  const got = await tagged(api.PUT('/api/settings/{name}', { params: { path: { name }, header }, body: { value, ...(why ? { why } : {}) } }));
  return { data: got.data as Settings, etag: got.etag };
}
