#include "show/auth/identity.hpp"

#include <fmt/format.h>

#include "base/log.hpp"
#include "base/text.hpp"
#include "show/auth/inner.hpp"

namespace bavn::show::auth {

namespace {

constexpr Setting kSettings[] = {
    {"auth.idle",
     Unit::minutes,
     std::int64_t{30},
     {5, 240},
     "A session without a request for so long is over: screens are left alone.",
     Restart::yes},
    {"auth.session",
     Unit::hours,
     std::int64_t{12},
     {1, 24},
     "The longest session: a shift, and no cookie that is worth stealing tomorrow.",
     Restart::yes},
    {"auth.proof",
     Unit::minutes,
     std::int64_t{10},
     {1, 60},
     "How long a proof with the passkey counts for warnings, orders, people and keys.",
     Restart::yes},
    {"auth.challenge",
     Unit::minutes,
     std::int64_t{5},
     {1, 15},
     "How long a browser may take to answer with a passkey.",
     Restart::yes},
    {"auth.invitation",
     Unit::days,
     std::int64_t{7},
     {1, 30},
     "How long an invitation's link works: a holiday is longer, and then it is made anew.",
     Restart::yes},
    {"auth.recovery",
     Unit::hours,
     std::int64_t{24},
     {1, 72},
     "How long a recovery waits for its second person, and its link for its use.",
     Restart::yes},
    {"auth.first_link",
     Unit::hours,
     std::int64_t{24},
     {1, 168},
     "How long the console's link works; the next start prints a new one.",
     Restart::yes},
    {"auth.window", Unit::minutes, std::int64_t{15}, {5, 120}, "The time in which tries are counted.", Restart::yes},
    {"auth.code_tries",
     Unit::none,
     std::int64_t{5},
     {3, 20},
     "Wrong codes of an app in that time: with six digits, guessing must be hopeless.",
     Restart::yes},
    {"auth.code_misses",
     Unit::none,
     std::int64_t{30},
     {10, 200},
     "Wrong codes since the last right one before codes sign this person in no more: what slow guessing may reach is 1 "
     "in 11,000.",
     Restart::yes},
    {"auth.address_tries",
     Unit::none,
     std::int64_t{30},
     {5, 1000},
     "Failed sign-ins from one address in that time; a town hall is often one address.",
     Restart::yes},
    {"auth.address_questions",
     Unit::none,
     std::int64_t{300},
     {20, 10000},
     "Sign-ins begun from one address in that time: each is a row until it is answered.",
     Restart::yes},
    {"auth.longest_key",
     Unit::days,
     std::int64_t{366},
     {1, 3660},
     "The latest end of an API key: a key without an end is forgotten, not ended.",
     Restart::yes},
    {"auth.demonstration",
     Unit::none,
     false,
     {0, 1},
     "Links that the owner makes let made-up people in without a key, and prove for them; only where the address is "
     "http://localhost.",
     Restart::yes},
    {"auth.inside",
     Unit::none,
     std::string_view(""),
     {0, 1000},
     "Hosts of OpenID Connect providers that are inside the network, separated by commas; others inside are refused.",
     Restart::yes},
};

constexpr std::chrono::hours kTidyEvery{1};

std::string without_slash(std::string origin) {
  while (origin.ends_with('/')) origin.pop_back();
  return origin;
}

}  // namespace

std::vector<Setting> identity_settings() {
  return {std::begin(kSettings), std::end(kSettings)};
}

net::EgressPolicy identity_egress(const Settings& settings) {
  net::EgressPolicy policy;
  const std::string& hosts = settings.text("auth.inside");
  for (const std::string_view each : split(hosts, ','))
    if (const auto host = trim(each); !host.empty()) policy.inside.emplace_back(host);
  return policy;
}

Identity::Inner::Inner(Runtime& r, store::State& s, tenants::People& p, net::Client& c, const Catalogue& t,
                       IdentityOptions o)
    : runtime(r),
      state(s),
      people(p),
      client(c),
      texts(t),
      options(std::move(o)),
      origin(without_slash(options.origin)) {
  const Settings fallback = Settings::defaults(kSettings);
  const Settings& set = options.settings == nullptr ? fallback : *options.settings;
  limits.idle = set.duration("auth.idle");
  limits.session = set.duration("auth.session");
  limits.proof = set.duration("auth.proof");
  limits.challenge = set.duration("auth.challenge");
  limits.invitation = set.duration("auth.invitation");
  limits.recovery = set.duration("auth.recovery");
  limits.first_link = set.duration("auth.first_link");
  limits.window = set.duration("auth.window");
  limits.longest_key = set.duration("auth.longest_key");
  limits.code_tries = set.integer("auth.code_tries");
  limits.code_misses = set.integer("auth.code_misses");
  limits.address_tries = set.integer("auth.address_tries");
  limits.address_questions = set.integer("auth.address_questions");
  options.demonstration = options.demonstration || set.flag("auth.demonstration");
  options.settings = nullptr;  // was only needed here
}

Identity::Identity(std::unique_ptr<Inner> inner) : inner_(std::move(inner)) {}
Identity::~Identity() = default;

Result<std::unique_ptr<Identity>> Identity::open(Runtime& runtime, store::State& state, tenants::People& people,
                                                 net::Client& client, const Catalogue& texts, IdentityOptions options) {
  auto inner = std::make_unique<Inner>(runtime, state, people, client, texts, std::move(options));
  Inner& in = *inner;
  in.queue = runtime.queue({.name = "identity"});
  state.subscribe("identity", in.queue,
                  [&in](const store::DomainEvent& event) -> Result<void> {
                    if (event.kind != "person.left" && event.kind != "person.changed") return {};
                    BAVN_TRY(const PersonId person, person_id(event.subject.substr(event.subject.find(':') + 1)));
                    // Rights are asked for anew at each request; this ends what lies around, and streams that were opened with other rights.
                    if (event.kind == "person.left")
                      BAVN_CHECK(in.state.write_now(
                          [&](store::Tx& tx) { return in.end_all(tx, person, "person who left", true); }));
                    in.tell_ended(event.subject);
                    return {};
                  },
                  {"person."});
  state.on_timer_tx("identity.tidy", [&in](store::Tx& tx, const store::Timer&) -> Result<void> {
    const Instant now = tx.now();
    BAVN_CHECK(tx.exec("DELETE FROM challenge WHERE ends_at_us < :now", {{"now", now}}));
    BAVN_CHECK(tx.exec("DELETE FROM provider_trip WHERE ends_at_us < :now", {{"now", now}}));
    BAVN_CHECK(tx.exec("DELETE FROM web_session WHERE ends_at_us < :now OR seen_at_us < :idle",
                       {{"now", now}, {"idle", now - in.limits.idle}}));
    BAVN_CHECK(tx.exec("DELETE FROM sign_in_try WHERE at_us < :since", {{"since", now - in.limits.window}}));
    // Kept for a month after their end: "this link was used" is worth more to its owner than "unknown link".
    BAVN_CHECK(
        tx.exec("DELETE FROM one_time_link WHERE ends_at_us < :month", {{"month", now - std::chrono::days(30)}}));
    BAVN_CHECK(tx.exec("DELETE FROM recovery WHERE ends_at_us < :month", {{"month", now - std::chrono::days(30)}}));
    return tx.set_timer(now + kTidyEvery, "identity.tidy", "all");
  });
  BAVN_CHECK(
      state.write_now([&](store::Tx& tx) { return tx.set_timer(tx.now() + kTidyEvery, "identity.tidy", "all"); }));
  return std::unique_ptr<Identity>(new Identity(std::move(inner)));
}

void Identity::use_origin(std::string origin) {
  inner_->origin.with([&](std::string& o) { o = without_slash(std::move(origin)); });
}

void Identity::on_ended(std::function<void(const std::string& who)> f) {
  inner_->ended.with([&](auto& all) { all.push_back(std::move(f)); });
}

void Identity::add_routes(net::Router& router) {
  inner_->add_session_routes(router);
  inner_->add_passkey_routes(router);
  inner_->add_code_routes(router);
  inner_->add_key_routes(router);
  inner_->add_people_routes(router);
  inner_->add_provider_routes(router);
  inner_->add_pages(router);
}

void Identity::Inner::log_provider(const std::string& issuer, const Error& error) const {
  log::warn("provider_refused", {{"issuer", issuer}, {"reason", error.what}});
}

Result<Identity::Inner::Link> Identity::Inner::make_link(store::Tx& tx, std::string_view kind,
                                                         std::optional<PersonId> person, std::string_view who,
                                                         std::chrono::seconds valid) const {
  const std::string secret = fresh_secret(runtime, 24);
  const Instant ends = tx.now() + valid;
  if (kind == "first") {
    BAVN_CHECK(tx.exec("DELETE FROM one_time_link WHERE kind = 'first' AND used_at_us IS NULL"));
  } else {
    BAVN_CHECK(tx.exec("DELETE FROM one_time_link WHERE person = :p AND used_at_us IS NULL", {{"p", person}}));
  }
  BAVN_CHECK(tx.exec(
      "INSERT INTO one_time_link (secret, kind, person, made_by, made_at_us, ends_at_us) VALUES (:s, :kind, :p, :who, "
      ":now, "
      ":ends)",
      {{"s", hash_of(secret)}, {"kind", kind}, {"p", person}, {"who", who}, {"now", tx.now()}, {"ends", ends}}));
  const std::int64_t id = tx.last_id();
  BAVN_CHECK(tx.audit({std::string(who), "link.made", person ? person_subject(*person) : "person:first",
                       fmt::format("{{\"link\":{},\"kind\":\"{}\"}}", id, kind)}));
  return Link{site() + "/sign-in/link?c=" + secret, id, ends};
}

Result<bool> Identity::Inner::somebody_administers(store::Reader& db, std::optional<PersonId> without) const {
  std::string roles;
  for (const auto role :
       {tenants::Role::analyst, tenants::Role::duty_lead, tenants::Role::municipal_it, tenants::Role::municipal_leader,
        tenants::Role::duty_contact, tenants::Role::programme, tenants::Role::employee, tenants::Role::supplier,
        tenants::Role::partner, tenants::Role::auditor, tenants::Role::data_protection})
    if ((tenants::rights_of(role) & static_cast<std::uint32_t>(event::Right::people_write)) != 0)
      roles += fmt::format("{}'{}'", roles.empty() ? "" : ",", tenants::to_string(role));
  BAVN_TRY(
      const auto n,
      db.number(
          fmt::format(
              "SELECT count(*) FROM person p WHERE p.left_at_us IS NULL AND p.id <> :without AND EXISTS (SELECT 1 FROM "
              "person_role r WHERE r.person = p.id AND r.role IN ({}) AND (r.until_us IS NULL OR r.until_us > :now)) "
              "AND "
              "(EXISTS (SELECT 1 FROM passkey k WHERE k.person = p.id AND k.copied_at_us IS NULL) OR EXISTS (SELECT 1 "
              "FROM "
              "provider_subject s WHERE s.person = p.id))",
              roles),
          {{"without", without ? *without : PersonId{}}, {"now", runtime.now()}}));
  return n > 0;
}

Result<std::string> Identity::first_link(bool even_so) {
  Inner& in = *inner_;
  if (!even_so) {
    BAVN_TRY(const bool there, in.state.read([&](store::Reader& db) { return in.somebody_administers(db, {}); }));
    if (there) return std::string();
  }
  Inner::Link link;
  BAVN_CHECK(in.state.write_now([&](store::Tx& tx) -> Result<void> {
    BAVN_TRY(link, in.make_link(tx, "first", {}, event::Scope::local_owner().who(), in.limits.first_link));
    return {};
  }));
  return link.url;
}

Result<std::string> Identity::link_for(PersonId person) {
  Inner& in = *inner_;
  BAVN_TRY(const auto found, in.people.find(event::Scope::local_owner(), person));
  if (found.left) return fail(Code::conflict, fmt::format("{} has left", found.name));
  Inner::Link link;
  BAVN_CHECK(in.state.write_now([&](store::Tx& tx) -> Result<void> {
    BAVN_TRY(link,
             in.make_link(
                 tx, in.options.demonstration && in.site().starts_with("http://localhost") ? "demonstration" : "owner",
                 person, event::Scope::local_owner().who(), in.limits.first_link));
    return {};
  }));
  return link.url;
}

}  // namespace bavn::show::auth
