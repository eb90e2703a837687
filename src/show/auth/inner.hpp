#pragma once
// What the parts of identity share: the rows and the few questions all of them ask. Not for other modules.
#include <boost/describe.hpp>
#include <map>
#include <variant>

#include "base/guarded.hpp"
#include "show/auth/identity.hpp"
#include "show/auth/oidc.hpp"

namespace bavn::show::auth {

enum class Method : std::uint8_t { passkey, provider, code, link };
std::string_view to_string(Method method);

/// The session of a request, as it is in the table.
struct SessionRow {
  std::int64_t id = 0;
  PersonId person;
  std::string method;
  std::optional<std::int64_t> passkey;
  bool demonstration = false;
  Instant began_at_us{}, seen_at_us{}, ends_at_us{};
  std::optional<Instant> proved_at_us;
  std::string address, browser;
};
BOOST_DESCRIBE_STRUCT(SessionRow, (),
                      (id, person, method, passkey, demonstration, began_at_us, seen_at_us, ends_at_us, proved_at_us,
                       address, browser))

/// Everything about a person that signing in needs to know.
struct Standing {
  tenants::Person person;
  event::Scope scope{"nobody", {}, 0, event::Tlp::clear};  // by their roles alone
  std::int64_t passkeys = 0;
  bool code = false, provider = false;
  bool can_return() const { return passkeys > 0 || provider || (code && !strong()); }
  /// May publish, order, change or administer: no codes for them.
  bool strong() const;
  /// May order or administer: two keys.
  bool wants_two_keys() const;
};

struct Limits {
  std::chrono::seconds idle, session, proof, challenge, invitation, recovery, first_link, window, longest_key;
  std::int64_t code_tries = 0, code_misses = 0, address_tries = 0, address_questions = 0;
};

/// What a name and its address make of a browser: never trusted, only shown.
std::string browser_name(std::string_view user_agent);

std::string fresh_secret(Runtime& runtime, std::size_t bytes = 32);  // base64url
std::string hash_of(std::string_view secret);                        // hex of SHA-256
std::optional<std::string> cookie_of(const net::Request& request, std::string_view name);
std::map<std::string, std::string, std::less<>> form_of(const net::Request& request);

struct Identity::Inner {
  Inner(Runtime& r, store::State& s, tenants::People& p, net::Client& c, const Catalogue& t, IdentityOptions o);

  Runtime& runtime;
  store::State& state;
  tenants::People& people;
  net::Client& client;
  const Catalogue& texts;
  IdentityOptions options;
  Limits limits{};
  QueueId queue{};
  Guarded<std::string> origin;
  Guarded<std::vector<std::function<void(const std::string&)>>> ended;
  OidcCache providers;

  // Where we are.
  std::string site() const;  // the origin
  std::string rp_id() const;
  bool plain() const { return site().starts_with("http://"); }
  std::string cookie_name() const;
  std::string browser_cookie_name() const { return cookie_name() + "-b"; }

  // Sessions (sessions.cpp).
  struct Begun {
    std::string cookie;  // Set-Cookie
    std::int64_t id = 0;
  };
  Result<std::optional<SessionRow>> session_of(const net::Request& request) const;
  /// Ends the session that the browser had, and begins a new one inside the unit.
  Result<Begun> begin(store::Tx& tx, const net::Request& request, PersonId person, Method method, bool proved,
                      bool demonstration = false, std::optional<std::int64_t> passkey = {});
  /// Another token for the same session: what it may do has grown.
  Result<std::string> rotate(store::Tx& tx, std::int64_t session) const;
  std::string session_cookie(std::string_view token) const;
  std::string no_cookie() const;
  /// Sessions, links, challenges and, with everything, keys and ways to sign in.
  Result<void> end_all(store::Tx& tx, PersonId person, std::string_view who, bool everything) const;
  void tell_ended(const std::string& who) const;
  bool same_site(const net::Request& request) const;
  Result<event::Scope> scope_of(const SessionRow& session) const;
  Result<Standing> standing(PersonId person) const;
  bool proved(const SessionRow& session, Instant now) const;
  Instant proved_until(const SessionRow& session) const;
  Result<event::Scope> key_scope(const net::Request& request, std::string_view key) const;

  // Guessing (sessions.cpp).
  Result<bool> too_many(std::string_view bucket, std::int64_t limit) const;
  Result<bool> too_many(store::Reader& db, std::string_view bucket, std::int64_t limit) const;
  Result<void> missed(store::Tx& tx, std::string_view bucket) const;
  void note_miss(std::string bucket, store::AuditNote note) const;
  static std::string address_bucket(const net::Request& request) { return "address:" + request.peer.address; }

  // The cookie that binds a question to the browser that was asked.
  struct Browser {
    std::string hash;
    std::optional<std::string> cookie;  // to be set
  };
  Browser browser_of(const net::Request& request) const;

  // Links (links.cpp).
  struct Link {
    std::string url;
    std::int64_t id = 0;
    Instant ends{};
  };
  Result<Link> make_link(store::Tx& tx, std::string_view kind, std::optional<PersonId> person, std::string_view who,
                         std::chrono::seconds valid) const;

  void log_provider(const std::string& issuer, const Error& error) const;

  // Routes, one function a file.
  void add_session_routes(net::Router& router);
  void add_passkey_routes(net::Router& router);
  void add_code_routes(net::Router& router);
  void add_key_routes(net::Router& router);
  void add_people_routes(net::Router& router);
  void add_provider_routes(net::Router& router);
  void add_pages(net::Router& router);

  // What handlers of people who are signed in begin with.
  struct Here {
    SessionRow session;
    Standing standing;
  };
  std::variant<Here, net::Reply> here(const net::Request& request) const;
  /// The person a list is asked of: oneself, or another (?person=) for who administers people. what: "passkeys", for the refusal.
  Result<PersonId> whose(const net::Request& request, const Here& h, std::string_view what) const;
  net::Reply needs_proof() const;
  // Codes (codes.cpp).
  enum class CodeCheck : std::uint8_t { good, wrong, too_many, closed };
  Result<CodeCheck> check_code(store::Tx& tx, PersonId person, std::string_view code, bool confirming) const;
  /// forbidden; `where` is "/tries" when it is about how often.
  Result<void> use_code(PersonId person, std::string_view code, bool confirming) const;
  Result<std::string> new_code_secret(PersonId person) const;
  Result<std::optional<std::string>> unconfirmed_code_secret(PersonId person) const;
  /// Whether somebody else than `without` could go on administering.
  Result<bool> somebody_administers(store::Reader& db, std::optional<PersonId> without) const;
  Result<void> no_stronger_than(const event::Scope& scope, PersonId person) const;
};

std::string person_subject(PersonId id);
Result<PersonId> person_id(std::string_view text);
std::vector<std::string> right_names(std::uint32_t rights);
std::optional<std::uint32_t> right_of(std::string_view name);
std::string ms_time(Instant t);
net::Reply with_cookie(net::Reply reply, const std::optional<std::string>& cookie);

constexpr std::uint32_t kStrongRights =
    static_cast<std::uint32_t>(event::Right::event_write) | static_cast<std::uint32_t>(event::Right::event_erase) |
    static_cast<std::uint32_t>(event::Right::indicator_write) | static_cast<std::uint32_t>(event::Right::operate) |
    static_cast<std::uint32_t>(event::Right::tenants_write) | static_cast<std::uint32_t>(event::Right::publish) |
    static_cast<std::uint32_t>(event::Right::order) | static_cast<std::uint32_t>(event::Right::people_write) |
    static_cast<std::uint32_t>(event::Right::settings_write);
constexpr std::uint32_t kTwoKeyRights =
    static_cast<std::uint32_t>(event::Right::tenants_write) | static_cast<std::uint32_t>(event::Right::order) |
    static_cast<std::uint32_t>(event::Right::people_write) | static_cast<std::uint32_t>(event::Right::settings_write);

}  // namespace bavn::show::auth
