#pragma once
// Who is at the browser or behind an API key: passkeys, OIDC, codes of an app (TOTP), sessions, one-time links, invitations, keys, recovery.
// Hub and node have one each. A request's rights are those its person has at that moment: a role taken away, or leaving, holds at once.
// Everything is audited; what can be guessed is rate limited, in rows that survive a restart.
// Life: opened before State::start(), after People and Client, gone before them. Thread rules: any thread but the State's writer.
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/catalogue.hpp"
#include "base/ids.hpp"
#include "base/result.hpp"
#include "base/runtime.hpp"
#include "base/settings.hpp"
#include "event/scope.hpp"
#include "net/client.hpp"
#include "net/http.hpp"
#include "store/state.hpp"
#include "tenants/people.hpp"

namespace bavn::show::auth {

enum class Serves : std::uint8_t { hub, node };

struct IdentityOptions {
  Serves serves = Serves::hub;
  std::string name{};             // of the CERT or the municipality, for people
  MunicipalityId municipality{};  // the node's; 0 at a hub
  /// As browsers write it: "https://desk.example.org", "http://localhost:8471". Passkeys are bound to its host for ever. An address
  /// (127.0.0.1) cannot have passkeys: give "localhost". A port that is not known yet: see use_origin.
  std::string origin{};
  bool demonstration = false;          // sessions of link_for() are proved as long as they last
  const Settings* settings = nullptr;  // with the rows of identity_settings(); null: defaults
};

/// The rows of auth.*, to be put into the settings of hub and node.
std::vector<Setting> identity_settings();
/// Where the Client that Identity is given may go: providers on the internet, and those of auth.inside.
net::EgressPolicy identity_egress(const Settings& settings);

class Identity {
 public:
  static Result<std::unique_ptr<Identity>> open(Runtime& runtime, store::State& state, tenants::People& people,
                                                net::Client& client, const Catalogue& texts, IdentityOptions options);
  ~Identity();

  /// Before the first request, when the server has taken its port.
  void use_origin(std::string origin);
  /// The session's cookie or "Authorization: Bearer bavn_...". forbidden: nobody is signed in, the session is over, the key is not valid
  /// here, or a browser wrote something that did not come from our own pages (neither Sec-Fetch-Site: same-origin, nor our Origin, nor
  /// X-Bavn: 1). For Router::authenticate.
  Result<event::Scope> authenticate(const net::Request& request) const;
  /// Whether the session or key of this request would still be accepted; asking does not count as using it. For open streams.
  bool still_valid(const net::Request& request) const;

  /// Dangerous acts (sending a warning, an order, people, keys) ask for a proof of the last minutes. The owner on the machine itself always
  /// has it, an API key never. forbidden says what to do.
  Result<void> recently_proved(const net::Request& request) const;
  /// The same as an answer: 403 with type /problems/proof-needed, upon which the page asks for the passkey and tries again.
  std::optional<net::Reply> proof_missing(const net::Request& request) const;
  /// A handler that is only reached with a recent proof.
  net::Handler proved(net::Handler handler) const;

  /// Pages /sign-in..., and the paths of api/identity.yaml.
  void add_routes(net::Router& router);

  /// For the console: a link that makes the first person who administers. Empty when there is somebody who can sign in and administer, unless
  /// the machine's owner says so. A new one ends the one before.
  Result<std::string> first_link(bool even_so = false);
  /// A one-time link that signs this person in (demonstrations; asked for by the machine's owner).
  Result<std::string> link_for(PersonId person);

  /// Called, on the writer's queue, with Scope::who() of those whose session or key has ended: streams of theirs are to be cut.
  void on_ended(std::function<void(const std::string& who)> f);

  struct Inner;

 private:
  explicit Identity(std::unique_ptr<Inner> inner);
  std::unique_ptr<Inner> inner_;
};

/// The person of a Scope that authenticate() made from a session: who is "person:7". Empty for keys, nodes and the machine's owner.
std::optional<PersonId> person_in(const event::Scope& scope);

}  // namespace bavn::show::auth
