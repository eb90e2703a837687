// Passkeys on the sign-in pages; everything else there works without script. Texts come with the page, in data-* of the button.
'use strict';
(() => {
  const bytes = (text) => Uint8Array.from(atob(text.replace(/-/g, '+').replace(/_/g, '/')), (c) => c.charCodeAt(0));
  const text = (buffer) => btoa(String.fromCharCode(...new Uint8Array(buffer))).replace(/\+/g, '-').replace(/\//g, '_').replace(/=+$/, '');
  const refs = (list) => (list || []).map((each) => ({ ...each, id: bytes(each.id) }));

  async function send(path, body) {
    const reply = await fetch(path, {
      method: 'POST', credentials: 'same-origin', headers: { 'X-Bavn': '1', 'Content-Type': 'application/json', Accept: 'application/json' },
      body: JSON.stringify(body ?? {}),
    });
    const said = await reply.json().catch(() => ({}));
    if (!reply.ok) throw Object.assign(new Error('refused'), { said: [said.title, said.advice].filter(Boolean).join('. ').replace('..', '.') });
    return said;
  }

  async function signIn() {
    const { publicKey } = await send('/api/passkeys/sign-in/options');
    const credential = await navigator.credentials.get({
      publicKey: { ...publicKey, challenge: bytes(publicKey.challenge), allowCredentials: refs(publicKey.allowCredentials) },
    });
    const r = credential.response;
    await send('/api/passkeys/sign-in', {
      id: credential.id, type: credential.type,
      response: {
        clientDataJSON: text(r.clientDataJSON), authenticatorData: text(r.authenticatorData), signature: text(r.signature),
        ...(r.userHandle && r.userHandle.byteLength > 0 ? { userHandle: text(r.userHandle) } : {}),
      },
    });
  }

  async function register() {
    const { publicKey } = await send('/api/passkeys/registration/options');
    const credential = await navigator.credentials.create({
      publicKey: {
        ...publicKey, challenge: bytes(publicKey.challenge), user: { ...publicKey.user, id: bytes(publicKey.user.id) },
        excludeCredentials: refs(publicKey.excludeCredentials),
      },
    });
    const r = credential.response;
    await send('/api/passkeys', {
      name: document.getElementById('passkey-name')?.value ?? '',
      credential: {
        id: credential.id, type: credential.type,
        response: {
          clientDataJSON: text(r.clientDataJSON), attestationObject: text(r.attestationObject),
          transports: r.getTransports ? r.getTransports() : [],
        },
      },
    });
  }

  for (const button of document.querySelectorAll('button[data-passkey]')) {
    const note = document.getElementById(button.getAttribute('aria-describedby'));
    const say = (what) => { note.textContent = what; };
    if (typeof PublicKeyCredential === 'undefined' || !navigator.credentials) {
      say(button.dataset.cannot);
      continue;
    }
    button.disabled = false;
    button.addEventListener('click', async () => {
      button.disabled = true;
      say(button.dataset.waiting);
      try {
        await (button.dataset.passkey === 'register' ? register() : signIn());
        location.assign(button.dataset.next);
        return;
      } catch (trouble) {
        say(trouble.said || (trouble.name === 'InvalidStateError' ? button.dataset.already : button.dataset.cancelled));
      }
      button.disabled = false;
      button.focus();
    });
  }
})();
