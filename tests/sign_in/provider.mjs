// A provider of OpenID Connect for the test: npm oidc-provider on loopback, with its own pages for "who are you".
// argv: port, redirect address. Prints "ready".
import Provider from 'oidc-provider';

const [port, redirect] = process.argv.slice(2);
const provider = new Provider(`http://localhost:${port}`, {
  clients: [{
    client_id: 'bavn', client_secret: 'a secret of at least thirty-two characters', redirect_uris: [redirect],
    grant_types: ['authorization_code'], response_types: ['code'],
  }],
  pkce: { required: () => true },
  features: { devInteractions: { enabled: true } },
  // Whoever types a name is that name: its subject is not its mail address.
  findAccount: (_, id) => ({ accountId: id, claims: () => ({ sub: id, email: 'boss@ager.example' }) }),
  cookies: { keys: ['only for this test'] },
  ttl: { Session: 600, Grant: 600, Interaction: 600, IdToken: 600, AccessToken: 600 },
});
provider.listen(Number(port), '127.0.0.1', () => console.log('ready'));
