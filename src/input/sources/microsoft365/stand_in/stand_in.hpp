#pragma once
// A server that behaves as Microsoft's documentation says, over a made-up world: tokens for signed assertions, the lists of Graph,
// the Management Activity API, advanced hunting, and everything that goes wrong. For tests, demonstrations and rehearsals;
// never a way to judge Microsoft's service itself.
// Routes: /login/..., /graph/..., /manage/... (give these as endpoints), /stand-in/... (for whoever holds the rehearsal).
// Thread rules: handlers on one queue with one thread. Life: longer than the Router's server.
#include <deque>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "input/sources/microsoft365/stand_in/mailboxes.hpp"
#include "input/sources/microsoft365/stand_in/world.hpp"
#include "net/http.hpp"

namespace bavn::input::microsoft365::stand_in {

/// Chances 0..1 of each answer that is of its kind.
struct Faults {
  double throttle = 0;       // 429 with Retry-After
  double server_error = 0;   // 503, 500, 504
  double html = 0;           // a web page with status 200
  double half_page = 0;      // the body is cut
  double wrong_count = 0;    // "@odata.count" lies
  double foreign_link = 0;   // the next page is on another host
  double link_loop = 0;      // the next page is this one
  double duplicate = 0;      // a record stands twice in a page
  double reorder = 0;        // the page is shuffled
  double expired_token = 0;  // the token ends before its time
  double late_error = 0;     // a move is made, and answered with 504
  double wrong_code = 0;     // a move is made, and answered with 200 and no body
  double user_moves = 0;     // between a search and what follows the owner moves the mail
};

struct StandInOptions {
  WorldOptions world;
  Faults faults;
  std::size_t page_size = 1000;           // most records a page
  std::chrono::minutes first_blobs{0};    // after the first subscription
  std::chrono::seconds consent_takes{0};  // until a permission granted works
  std::string scenario = "quiet";         // quiet | october | hostile
};
/// The options of a named scenario; nullopt: no such scenario.
std::optional<StandInOptions> scenario(std::string_view name, std::uint64_t seed, unsigned tenants);

struct Licences {
  bool p1 = true, p2 = true, defender = true, hunting = true, audit_log = true, trace_principal = false;
};

class StandIn {
 public:
  StandIn(Runtime& runtime, StandInOptions options);

  void add_routes(net::Router& router);
  /// "http://host:port" in the links it gives; without it, what the request says in Host.
  void serve_as(std::string url) { url_ = std::move(url); }

  World& world() { return world_; }
  Faults& faults() { return options_.faults; }
  Mailboxes& mailboxes() { return mailboxes_; }
  /// Into a mailbox of a tenant and into the traces; its Message-ID. bad_input: nobody of that address.
  Result<std::string> deliver(Delivered mail);
  Licences& licences(unsigned tenant) { return licences_[tenant]; }
  /// What the consent script does, without the script. Returns the application's id.
  std::string register_application(unsigned tenant, std::string certificate_pem, std::set<std::string> roles);
  std::set<std::string> roles(std::string_view client) const;  // granted; none: no such application
  /// Reads the script that Bavn makes and does what it says; returns what the shell would print.
  Result<std::string> run_script(std::string_view script);

  struct Counts {
    std::uint64_t requests = 0, over_limit = 0, faults = 0, tokens = 0;
  };
  const Counts& counts() const { return counts_; }

 private:
  struct App {
    unsigned tenant = 0;
    std::string client, certificate_pem;
    std::set<std::string> roles;
    Instant works_from{};
  };
  struct Token {
    unsigned tenant = 0;
    std::string client;
    bool graph = true;
    Instant until{};
  };
  using Limit = std::pair<std::size_t, Duration>;
  net::Reply token(const net::Request& q);
  /// The tenant of the bearer, or the answer that refuses.
  std::optional<net::Reply> refused(const net::Request& q, bool graph, const std::vector<std::string>& any_role,
                                    std::string_view budget, Limit limit, unsigned& tenant);
  net::Reply list(const net::Request& q, Stream stream, std::string_view time_field, const std::string& role,
                  std::string_view budget);
  net::Reply page(const net::Request& q, std::vector<std::string> records, std::size_t at_most);
  net::Reply subscriptions(const net::Request& q, bool start);
  net::Reply content(const net::Request& q);
  net::Reply blob(const net::Request& q);
  net::Reply hunting(const net::Request& q);
  net::Reply directory(const net::Request& q, std::string_view what);
  net::Reply spoiled(net::Reply reply);
  // stand_in_mail.cpp
  void add_mail_routes(net::Router& router);
  /// Permission, budget, whose mailbox; the answer that refuses, or nothing.
  std::optional<net::Reply> mailbox_refused(const net::Request& q, std::string& user);
  net::Reply mails(const net::Request& q, std::string_view folder);
  net::Reply move(const net::Request& q, bool remove);
  net::Reply remediate(const net::Request& q);
  net::Reply analyzed(const net::Request& q);
  net::Reply mailbox_switches(const net::Request& q);
  bool happens(double chance);
  std::string self(const net::Request& q) const;  // "http://host:port"

  Runtime& runtime_;
  StandInOptions options_;
  World world_;
  Mailboxes mailboxes_;
  std::string url_;
  std::map<unsigned, Licences> licences_;
  std::vector<App> apps_;
  std::map<std::string, Token, std::less<>> tokens_;
  std::set<std::string> assertions_;  // jti seen
  std::map<std::pair<unsigned, std::string>, std::deque<Duration>> asked_;
  std::map<std::pair<unsigned, std::string>, Instant> subscribed_;
  Counts counts_;
};

}  // namespace bavn::input::microsoft365::stand_in
