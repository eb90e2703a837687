#pragma once
// The way to one tenant's services: tokens by certificate, budgets, pauses, and what went wrong in words that name the fix.
// One Access a tenant. Callers give a call and get an answer that can be used, or a Trouble; renewing tokens, waiting for
// budgets and trying again happens inside.
// Life: shared; stop() before the Client goes. Thread rules: everything on the queue given, which has one thread.
#include <cstdint>
#include <deque>
#include <expected>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/rsa.hpp"
#include "base/runtime.hpp"
#include "net/client.hpp"

namespace bavn::input::microsoft365 {

/// Where the three services are. Paths may be in them: a stand-in serves all on one port.
struct Endpoints {
  std::string login = "https://login.microsoftonline.com";
  std::string graph = "https://graph.microsoft.com";
  std::string manage = "https://manage.office.com";
};

struct Account {
  std::string tenant;  // the directory's id (a GUID)
  std::string client;  // the application's id
  RsaIdentity identity;
  Endpoints endpoints;
};

enum class Service : std::uint8_t { graph, manage };

/// What is limited together (per application and tenant; research/Microsoft's pages of throttling limits).
enum class Budget : std::uint8_t {
  reports,     // sign-ins, directory audits: 5 in 10 s
  trace,       // message trace: 100 in 5 min
  management,  // Management Activity: 2,000 a minute for small tenants; a tenth of it is enough
  security,    // alerts: 150 a minute
  hunting,     // advanced hunting: 45 a minute for everybody in the tenant; we take 10
  directory,   // applications, grants, policies
  mail,        // mailboxes: 10,000 in 10 min for each mailbox, four at once; a tenth of what that would be for a few
};

enum class TroubleKind : std::uint8_t {
  network,     // no answer
  throttled,   // told to wait, again and again
  token,       // the certificate, the application or the tenant is not accepted
  permission,  // a permission is not granted
  licence,     // the tenant has not bought it
  not_ready,   // granted, but the service says it needs time, or is switched off
  bad_answer,  // HTML, half a page, a wrong count
  bad_link,    // a next page on another host, or one that was there before
  too_large,   // ask for less
  server,      // 5xx
  refused,     // another 4xx
  stopped,
};
std::string_view to_string(TroubleKind kind);

struct Trouble {
  TroubleKind kind = TroubleKind::network;
  std::string what = {};  // what happened
  std::string fix = {};   // what a person can do; empty: nothing
  int status = 0;
  std::string code = {};  // the service's own
};
/// "what. fix"
std::string to_string(const Trouble& t);

struct Call {
  Service service = Service::graph;
  Budget budget = Budget::directory;
  net::Method method = net::Method::get;
  std::string url = {};         // absolute: from url() or a link that same_origin() let through
  std::string body = {};        // JSON
  std::string permission = {};  // the one it needs, by name: said when it is missing
  std::string licence = {};     // what has to be bought, in words: said when it is missing
  std::size_t max_reply = 48U << 20U;
  /// Says why an answer with 2xx cannot be used (it is asked for again), or nothing.
  std::function<std::optional<std::string>(const net::ClientReply&)> unusable = {};
};

/// What an answer that is no success means. Pure.
Trouble trouble_of(const Call& call, const net::ClientReply& reply);
/// The same for the token endpoint.
Trouble token_trouble(const net::ClientReply& reply);

/// A token request's assertion: a JWT signed with the account's key (RFC 7523), good for ten minutes.
Result<std::string> client_assertion(const Account& account, Instant now, std::string_view unique);

using net::percent_encoded;
/// Scheme, host and port of both are the same, and the link is not something else in disguise.
bool same_origin(std::string_view base, std::string_view link);

using Answer = std::expected<net::ClientReply, Trouble>;

class Access : public std::enable_shared_from_this<Access> {
 public:
  Access(Runtime& runtime, net::Client& client, QueueId queue, Account account);

  void send(Call call, std::move_only_function<void(Answer)> then);
  /// Everything that waits is answered with `stopped`; nothing is sent any more.
  void stop();

  std::string url(Service service, std::string_view path_and_query) const;
  const std::string& base(Service service) const;
  const Account& account() const { return account_; }
  /// After a consent: a new token has the new permissions.
  void forget_tokens();
  Runtime& runtime() { return runtime_; }
  QueueId queue() const { return queue_; }

  struct Counts {
    std::uint64_t requests = 0, throttled = 0, tokens = 0, tried_again = 0, bytes = 0;
  };
  const Counts& counts() const { return counts_; }

 private:
  struct Exchange {
    Call call;
    std::move_only_function<void(Answer)> then;
    unsigned tries = 0, throttled = 0;
    bool token_renewed = false;
  };
  struct Token {
    std::string text;
    Duration good_until{0};  // steady
    bool asked = false;
    std::string assertion;  // sent, but nobody answered: sent again
    Duration assertion_at{0};
    std::vector<std::shared_ptr<Exchange>> waiting;
  };
  struct Window {
    std::deque<Duration> sent;
    Duration not_before{0};
  };
  void step(const std::shared_ptr<Exchange>& exchange);
  void transmit(const std::shared_ptr<Exchange>& exchange);
  void on_reply(const std::shared_ptr<Exchange>& exchange, Result<net::ClientReply> reply);
  void again(const std::shared_ptr<Exchange>& exchange, Trouble trouble, std::optional<Duration> told);
  void finish(const std::shared_ptr<Exchange>& exchange, Answer answer);
  void ask_token(Service service, unsigned tries);
  void token_came(Service service, std::optional<Trouble> trouble);
  Duration wait_for_slot(Budget budget);
  Duration pause(unsigned tries);
  void later(Duration delay, std::move_only_function<void(Access&)> f);

  Runtime& runtime_;
  net::Client& client_;
  QueueId queue_;
  Account account_;
  std::map<Service, Token> tokens_;
  std::map<Budget, Window> windows_;
  Counts counts_;
  bool stopped_ = false;
};

}  // namespace bavn::input::microsoft365
