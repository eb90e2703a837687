// Fresh proof of who one is, by passkey, without leaving the page.
import { Problem, problemOf } from './api';
import { t } from './i18n.svelte';

const toBytes = (text: string): ArrayBuffer => {
  const raw = atob(text.replaceAll('-', '+').replaceAll('_', '/'));
  const out = new Uint8Array(raw.length);
  for (let i = 0; i < raw.length; ++i) out[i] = raw.charCodeAt(i);
  return out.buffer;
};
const toText = (bytes: ArrayBuffer): string =>
  btoa(String.fromCharCode(...new Uint8Array(bytes)))
    .replaceAll('+', '-')
    .replaceAll('/', '_')
    .replace(/=+$/, '');

async function post(path: string, body?: unknown): Promise<unknown> {
  const response = await fetch(path, { method: 'POST', headers: { 'x-bavn': '1', ...(body === undefined ? {} : { 'content-type': 'application/json' }) }, ...(body === undefined ? {} : { body: JSON.stringify(body) }) });
  const said: unknown = response.status === 204 ? {} : await response.json().catch(() => ({}));
  if (!response.ok) throw problemOf(response, said);
  return said;
}

interface Asked {
  publicKey?: Record<string, unknown>;
  challenge?: string;
  allowCredentials?: { id: string }[];
}

export async function provePasskey(): Promise<void> {
  if (!('credentials' in navigator) || typeof PublicKeyCredential === 'undefined') throw new Problem({ kind: 'no-passkey', status: 0, title: t('step_up.no_passkey') });
  const said = (await post('/api/session/proof/options')) as Asked;
  const options = (said.publicKey ?? said) as Asked & Record<string, unknown>;
  let credential: PublicKeyCredential;
  try {
    credential = (await navigator.credentials.get({
      publicKey: {
        ...options,
        challenge: toBytes(String(options.challenge ?? '')),
        allowCredentials: (options.allowCredentials ?? []).map((one) => ({ ...one, type: 'public-key' as const, id: toBytes(one.id) })),
      } as PublicKeyCredentialRequestOptions,
    })) as PublicKeyCredential;
  } catch {
    throw new Problem({ kind: 'not-proved', status: 0, title: t('step_up.not_done') });
  }
  const answer = credential.response as AuthenticatorAssertionResponse;
  await post('/api/session/proof', {
    credential: {
    id: credential.id,
    rawId: toText(credential.rawId),
    type: credential.type,
    response: {
      clientDataJSON: toText(answer.clientDataJSON),
      authenticatorData: toText(answer.authenticatorData),
      signature: toText(answer.signature),
      ...(answer.userHandle ? { userHandle: toText(answer.userHandle) } : {}),
    },
    },
  });
}

/** The code of an app, for those who have no passkey. */
export async function proveCode(code: string): Promise<void> {
  await post('/api/session/proof', { code });
}

/** Whether it is shown by now, in another window. */
export async function isProved(): Promise<boolean> {
  const response = await fetch('/api/session', { cache: 'no-store' });
  if (!response.ok) return false;
  const said = (await response.json()) as { proved_until?: string };
  return said.proved_until !== undefined && new Date(said.proved_until).getTime() > Date.now();
}
