// The audit log of whoever serves: hub and node keep the same chain and say it in two shapes.
import { api, ok } from '$lib/api';
import type { HubAuditRow } from '$lib/hub';

export interface Wanted {
  cursor?: string | undefined;
  who: string;
  action: string;
  subject: string;
}
export interface Verdict {
  whole: boolean;
  entries: number;
  witnesses: number;
  witnessedTo: string;
  findings: { fault?: string; text: string }[];
}

export async function rows(serves: 'hub' | 'node', { cursor, who, action, subject }: Wanted): Promise<{ items: HubAuditRow[]; next?: string }> {
  const query = { limit: 100, ...(cursor ? { cursor } : {}), ...(who ? { who } : {}), ...(action ? { action } : {}) };
  if (serves === 'node') return (await ok(api.GET('/api/node/audit', { params: { query } }))) as { items: HubAuditRow[]; next?: string };
  return (await ok(api.GET('/api/audit', { params: { query: { ...query, ...(subject ? { subject } : {}) } } }))) as { items: HubAuditRow[]; next?: string };
}

export async function verdict(serves: 'hub' | 'node'): Promise<Verdict> {
  if (serves === 'node') {
    const said = await ok(api.POST('/api/node/audit/verify'));
    return { whole: said.whole, entries: said.entries, witnesses: said.witnesses, witnessedTo: said.witnessed_to, findings: said.findings.map((text) => ({ text })) };
  }
  const said = await ok(api.GET('/api/audit/verification'));
  return { whole: said.ok, entries: said.entries, witnesses: said.witnesses, witnessedTo: said.witnessed_to, findings: said.findings.map((f) => ({ fault: f.fault, text: `(${f.first}–${f.last}) ${f.text}` })) };
}
