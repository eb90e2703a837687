// A new passkey: what the browser and the server say to each other. JSON forms of WebAuthn level 3.
import { api, ok } from './api';

const toBytes = (text: string): ArrayBuffer => {
  const raw = atob(text.replaceAll('-', '+').replaceAll('_', '/'));
  const out = new Uint8Array(raw.length);
  for (let i = 0; i < raw.length; i += 1) out[i] = raw.charCodeAt(i);
  return out.buffer;
};
const toText = (bytes: ArrayBuffer): string =>
  btoa(Array.from(new Uint8Array(bytes), (byte) => String.fromCharCode(byte)).join(''))
    .replaceAll('+', '-')
    .replaceAll('/', '_')
    .replace(/=+$/, '');

interface Creation {
  challenge: string;
  user: { id: string; name: string; displayName: string };
  excludeCredentials?: { id: string; type: 'public-key' }[];
}

export const canMakePasskeys = (): boolean => typeof PublicKeyCredential !== 'undefined' && 'credentials' in navigator;

/** False: the person or the browser did not make one. Problems of the server are thrown. */
export async function newPasskey(name: string): Promise<boolean> {
  const { publicKey } = await ok(api.POST('/api/passkeys/registration/options'));
  const asked = publicKey as unknown as Creation;
  let made: PublicKeyCredential;
  try {
    made = (await navigator.credentials.create({
      publicKey: {
        ...(asked as unknown as PublicKeyCredentialCreationOptions),
        challenge: toBytes(asked.challenge),
        user: { ...asked.user, id: toBytes(asked.user.id) },
        excludeCredentials: (asked.excludeCredentials ?? []).map((one) => ({ ...one, id: toBytes(one.id) })),
      },
    })) as PublicKeyCredential;
  } catch {
    return false;
  }
  const answer = made.response as AuthenticatorAttestationResponse;
  await ok(
    api.POST('/api/passkeys', {
      body: {
        ...(name ? { name } : {}),
        credential: {
          id: made.id,
          rawId: toText(made.rawId),
          type: 'public-key',
          response: { clientDataJSON: toText(answer.clientDataJSON), attestationObject: toText(answer.attestationObject), transports: answer.getTransports?.() ?? [] },
        },
      },
    }),
  );
  return true;
}
