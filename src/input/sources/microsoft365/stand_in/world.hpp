#pragma once
// A made-up Microsoft 365: municipalities that do not exist, people that do not exist, and what they do hour by hour, made from a
// seed when it is asked for. The same seed, the same world. Every record knows when it happened and when it can be seen first.
// All domains end in .example, all addresses are documentation addresses (RFC 2606, 5737).
// Thread rules: one thread. Memory: the hours asked for are kept, at most about 20,000 of them.
#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/runtime.hpp"

namespace bavn::input::microsoft365::stand_in {

enum class Stream : std::uint8_t {
  interactive,
  background,
  apps,
  audits,
  trace,
  alerts,
  risks,
  email_events,
  email_urls,
  url_clicks,
  activity_directory,
  activity_exchange,
  activity_sharepoint,
  activity_general,
};
constexpr std::size_t kStreams = 14;

struct Entry {
  Instant happened, visible;
  std::string id;
  std::string json;
};

struct Person {
  std::string name, address, id, device, browser;
  std::string home_ip;
};

struct Tenant {
  unsigned number = 0;
  std::string id;  // directory GUID
  std::string town, domain;
  std::vector<Person> people;
};

struct Application {
  std::string id, app_id, name;
  Instant created;
  std::vector<std::string> mail_rights;  // application rights on Graph by name
};

struct WorldOptions {
  std::uint64_t seed = 1;
  unsigned tenants = 1;
  unsigned people = 30;     // of each tenant
  double busy = 1;          // records, times
  double delay_scale = 1;   // of all delays between happening and being seen
  bool stragglers = false;  // some records come hours late
  Instant born{};           // past oddities (forwarding, old applications) are placed before this
};

class World {
 public:
  explicit World(WorldOptions options);

  const std::vector<Tenant>& tenants() const { return tenants_; }
  const Tenant* tenant(std::string_view id) const;
  const WorldOptions& options() const { return options_; }

  /// What happened in [from, to] and is visible at `now`; by time.
  std::vector<const Entry*> between(unsigned tenant, Stream stream, Instant from, Instant to, Instant now);
  std::vector<Application> applications(unsigned tenant, Instant now) const;

  /// The case of October 2024 in small: session stolen, mail hidden, an application made, mail to everybody.
  /// Mails also arrive at the other tenants. Returns the taken address.
  std::string take_over(unsigned tenant, Instant at, unsigned mails);

  /// A mail that came to one of our mailboxes: called when it is made, also for one that will come.
  using OnMail = std::function<void(const std::string& to, const std::string& from, const std::string& message_id,
                                    const std::string& subject, const std::string& network_id, Instant at)>;
  void on_mail(OnMail f) { on_mail_ = std::move(f); }
  /// A mail delivered by hand: the traces of both towns show it, after `trace` (empty: as long as such records take). Its network id.
  std::string mail(const std::string& from, const std::string& to, const std::string& message_id,
                   const std::string& subject, Instant at, std::optional<Duration> trace);
  const Tenant* tenant_of(std::string_view address) const;  // by the domain

  static std::string guid(std::uint64_t a, std::uint64_t b);

 private:
  using HourKey = std::tuple<unsigned, Stream, std::int64_t>;
  const std::vector<Entry>& hour(unsigned tenant, Stream stream, std::int64_t hour);
  std::vector<Entry> make(const Tenant& t, Stream stream, std::int64_t hour) const;
  void add(unsigned tenant, Stream stream, Instant at, std::string id, std::string json,
           std::optional<Duration> delay_given = {});
  Duration delay(Stream stream, std::uint64_t dice) const;

  WorldOptions options_;
  std::vector<Tenant> tenants_;
  std::map<HourKey, std::vector<Entry>> hours_;
  std::map<std::pair<unsigned, Stream>, std::vector<Entry>> added_;
  std::map<unsigned, std::vector<Application>> made_;
  OnMail on_mail_;
  std::uint64_t mails_ = 0;  // by hand
};

}  // namespace bavn::input::microsoft365::stand_in
