#include "exchange/subscribers/subscribers.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <boost/describe.hpp>
#include <charconv>
#include <set>

#include "base/digest.hpp"
#include "base/encoding.hpp"
#include "base/log.hpp"
#include "base/text.hpp"
#include "exchange/bulletins/find.hpp"

namespace bavn::exchange {

namespace {

using event::Right;
using event::Tlp;

constexpr Setting kSettings[] = {
    {"subscriptions.outsiders",
     Unit::none,
     true,
     {},
     "Whether anybody may subscribe to bulletins that are TLP:CLEAR at /subscribe; a mail server must be set up.",
     Restart::yes},
    {"subscriptions.confirm_hours",
     Unit::hours,
     std::int64_t{48},
     {1, 168},
     "How long the link that confirms an address is good; then the address is erased. Two days reach over a day off.",
     Restart::yes},
    {"subscriptions.ask_again_minutes",
     Unit::minutes,
     std::int64_t{60},
     {1, 1440},
     "An address that was just sent a link is sent no other for so long, whoever asks: nobody is flooded.",
     Restart::yes},
    {"subscriptions.asks_per_hour",
     Unit::none,
     std::int64_t{200},
     {1, 100'000},
     "Links that are sent in an hour to all addresses together, so that the form is no way to send mail through the "
     "hub.",
     Restart::yes},
    {"subscriptions.most",
     Unit::none,
     std::int64_t{10'000},
     {1, 1'000'000},
     "Subscribers at most: each gets a mail of its own, and a mail server of a CERT takes some thousands an hour.",
     Restart::yes},
    {"subscriptions.text_size",
     Unit::bytes,
     std::int64_t{30'000},
     {1'000, 200'000},
     "Text of a bulletin in a mail at most; the rest is behind the link. Readers of mail cut longer ones anyway.",
     Restart::yes},
    {"subscriptions.try_hours",
     Unit::hours,
     std::int64_t{72},
     {1, 240},
     "How long a mail is tried: longer than a weekend's outage of a mail server, shorter than a bulletin is news.",
     Restart::yes},
};

constexpr std::string_view kTimer = "subscribers.ask";
constexpr std::int64_t kAtATime = 200;  // subscribers in one unit of the State
constexpr std::string_view kEnd = "/subscribe/end/", kConfirm = "/subscribe/confirm/";

struct AskRow {
  std::int64_t id = 0;
  std::string address;
  std::optional<std::int64_t> person;
  std::string language, ceiling;
  std::int64_t asked_us = 0;
};
BOOST_DESCRIBE_STRUCT(AskRow, (), (id, address, person, language, ceiling, asked_us))
struct MailedRow {
  std::int64_t version = 0;
  store::Blob said;
  bool withdrawn = false;
};
BOOST_DESCRIBE_STRUCT(MailedRow, (), (version, said, withdrawn))

struct ToldRow {
  std::int64_t bulletin = 0;
  bool withdrawn = false;
  std::int64_t at_us = 0;
};
BOOST_DESCRIBE_STRUCT(ToldRow, (), (bulletin, withdrawn, at_us))

#define BAVN_SUBSCRIBER "SELECT id, address, person, language, ceiling, token, since_us FROM bulletin_subscriber "
#define BAVN_ASK "SELECT id, address, person, language, ceiling, asked_us FROM bulletin_ask "

std::string digest_of(std::string_view token) {
  return sha256(std::string("bavn subscription v1") + std::string(token));
}

/// What a mail program takes as one address, and no header can be broken with.
Result<std::string> address_in(std::string_view text) {
  const auto mail = event::canonical(event::Kind::email, trim(text));
  if (!mail || mail->value.size() > 254 || std::ranges::any_of(mail->value, [](char c) {
        return c <= ' ' || c >= 0x7f || std::string_view("<>()[],;:\"\\").find(c) != std::string_view::npos;
      }))
    return fail(Code::bad_input, "this is no mail address: name@example.org", "/address");
  return mail->value;
}

std::optional<std::uint64_t> number_of_person(std::string_view who) {
  constexpr std::string_view mark = "person:";
  if (!who.starts_with(mark)) return std::nullopt;
  who.remove_prefix(mark.size());
  std::uint64_t n = 0;
  const auto [end, ec] = std::from_chars(who.data(), who.data() + who.size(), n);
  return ec == std::errc{} && end == who.data() + who.size() ? std::optional(n) : std::nullopt;
}

Tlp tlp_of(std::string_view text) {
  return event::parse_tlp(text).value_or(Tlp::clear);
}

std::string shown(Tlp tlp) {
  std::string out(event::to_string(tlp));
  for (char& c : out)
    if (c >= 'a' && c <= 'z') c = static_cast<char>(c - 32);
  return out;
}

/// "https://hub.example:8443/x" -> "hub.example".
std::string_view host_of(std::string_view site) {
  const auto scheme = site.find("://");
  if (scheme != std::string_view::npos) site.remove_prefix(scheme + 3);
  return site.substr(0, site.find_first_of(":/"));
}

/// "hxxps://evil[.]example/a.html"; a path keeps its dots.
std::string in_brackets(std::string_view value) {
  if (value.find("[.]") != std::string_view::npos || value.find("(.)") != std::string_view::npos)
    return std::string(value);
  std::string out;
  std::string_view rest = value;
  if (const auto scheme = value.find("://"); scheme != std::string_view::npos) {
    std::string name = to_lower(value.substr(0, scheme));
    if (name.starts_with("http")) name.replace(0, 4, "hxxp");
    else if (name.starts_with("ftp")) name.replace(0, 3, "fxp");
    out = name + "://";
    rest = value.substr(scheme + 3);
  }
  const auto end = std::min(rest.find_first_of("/?#"), rest.size());
  for (const char c : rest.substr(0, end)) {
    if (c == '.') out += "[.]";
    else if (c == '@') out += "[@]";
    else out += c;
  }
  return out.append(rest.substr(end));
}

}  // namespace

struct Subscribers::Row {
  std::int64_t id = 0;
  std::string address;
  std::optional<std::int64_t> person;
  std::string language, ceiling, token;
  std::int64_t since_us = 0;
  BOOST_DESCRIBE_CLASS(Row, (), (id, address, person, language, ceiling, token, since_us), (), ())
};

struct Subscribers::Asked {
  std::string address;
  std::optional<std::int64_t> person;
  std::string language;
  Tlp ceiling = Tlp::clear;
  std::string by{};  // who invited; empty: the address itself, or the person
};

std::span<const Setting> subscription_settings() {
  return kSettings;
}

SubscriptionLimits SubscriptionLimits::from(const Settings* settings) {
  static_assert(std::size(kSettings) == 7, "read the new one below");
  const Settings own = Settings::defaults(kSettings);
  const Settings& s = settings != nullptr ? *settings : own;
  SubscriptionLimits l;
  l.outsiders = s.flag("subscriptions.outsiders");
  l.confirm = s.duration("subscriptions.confirm_hours");
  l.again = s.duration("subscriptions.ask_again_minutes");
  l.asks_per_hour = s.integer("subscriptions.asks_per_hour");
  l.most = s.integer("subscriptions.most");
  l.text = static_cast<std::size_t>(s.integer("subscriptions.text_size"));
  l.tried = s.duration("subscriptions.try_hours");
  return l;
}

std::string mail_text(const Bulletin& bulletin, const BulletinText& text, std::size_t most, bool& cut) {
  std::set<std::string, std::less<>> harmless;
  for (const auto& f : bulletin.found)
    if (f.state == "refused") harmless.insert(f.value);
  std::string out;
  std::size_t at = 0;
  auto places = find_observables(text.markdown);
  std::ranges::sort(places, {}, &FoundAt::from);
  for (const auto& place : places) {
    if (place.from < at || harmless.contains(place.what.value)) continue;
    out += text.markdown.substr(at, place.from - at);
    out += in_brackets(std::string_view(text.markdown).substr(place.from, place.to - place.from));
    at = place.to;
  }
  out += text.markdown.substr(at);
  cut = out.size() > most;
  if (cut) {
    auto end = out.rfind('\n', most);
    if (end == std::string::npos || end < most / 2) {
      end = most;
      while (end > 0 && (static_cast<unsigned char>(out[end]) & 0xC0U) == 0x80U) --end;
    }
    out.resize(end);
  }
  return out;
}

std::unique_ptr<Subscribers> Subscribers::open(SubscriberParts parts) {
  std::unique_ptr<Subscribers> s(new Subscribers(std::move(parts)));
  store::State& state = s->parts_.state;
  state.subscribe("bulletin_subscribers", s->parts_.runtime.queue({.name = "subscribers"}),
                  [self = s.get()](const store::DomainEvent& e) { return self->on_event(e); },
                  {"bulletin.published", "bulletin.withdrawn", "person.left"});
  state.on_timer_tx(std::string(kTimer), [self = s.get()](store::Tx& tx, const store::Timer& t) -> Result<void> {
    BAVN_TRY(const auto n, tx.exec("DELETE FROM bulletin_ask WHERE id = :i", {{"i", std::stoll(t.subject)}}));
    if (n > 0 && self->parts_.recall) return self->parts_.recall(tx, "subscription_ask:" + t.subject);
    return {};
  });
  return s;
}

bool Subscribers::possible() const {
  return parts_.post && parts_.site && !parts_.site().empty();
}

std::string Subscribers::new_token() const {
  std::array<std::byte, 20> bytes{};
  parts_.runtime.random(bytes);
  return to_base32({reinterpret_cast<const char*>(bytes.data()), bytes.size()});
}

/// The same work and the same answer for every address: one that subscribes already gets the same link.
Result<void> Subscribers::ask(store::Tx& tx, const Asked& asked) {
  BAVN_TRY(const auto before, tx.one<AskRow>(BAVN_ASK "WHERE address = :a", {{"a", asked.address}}));
  if (before && from_micros(before->asked_us) + parts_.limits.again > tx.now()) return {};
  BAVN_CHECK(tx.exec("DELETE FROM bulletin_ask_at WHERE at_us <= :t", {{"t", tx.now() - std::chrono::hours(1)}}));
  BAVN_TRY(const auto lately, tx.number("SELECT count(*) FROM bulletin_ask_at"));
  if (lately >= parts_.limits.asks_per_hour)
    return fail(Code::unavailable, "too many have asked for a link in the last hour; ask again later");
  if (before) BAVN_CHECK(end_ask(tx, before->id));
  const std::string token = new_token();
  BAVN_CHECK(tx.exec("INSERT INTO bulletin_ask_at (at_us) VALUES (:now)", {{"now", tx.now()}}));
  BAVN_CHECK(
      tx.exec("INSERT INTO bulletin_ask (address, person, language, ceiling, token, asked_us) VALUES (:a, :p, :l, :c, "
              ":t, :now)",
              {{"a", asked.address},
               {"p", asked.person},
               {"l", asked.language},
               {"c", event::to_string(asked.ceiling)},
               {"t", store::Blob{digest_of(token)}},
               {"now", tx.now()}}));
  const std::string id = std::to_string(tx.last_id()), about = "subscription_ask:" + id;
  BAVN_CHECK(tx.set_timer(tx.now() + parts_.limits.confirm, kTimer, id));
  const Language l = language_of(asked.language).value_or(Language::en);
  Letter mail;
  mail.to = asked.address;
  mail.about = about;
  const std::string kind = asked.by.empty() ? "bulletin_mail.confirm" : "bulletin_mail.invite";
  mail.subject = parts_.texts.say(l, kind + ".subject", {{"name", parts_.name}});
  const auto hours = std::chrono::duration_cast<std::chrono::hours>(parts_.limits.confirm).count();
  mail.text =
      parts_.texts.say(l, kind + ".body",
                       {{"name", parts_.name},
                        {"url", fmt::format("{}{}{}?language={}", parts_.site(), kConfirm, token, to_string(l))},
                        {"hours", std::to_string(hours)}});
  mail.until = tx.now() + parts_.limits.confirm;
  BAVN_CHECK(parts_.post(tx, mail));
  if (!asked.by.empty()) return tx.audit({asked.by, "subscription.invited", about, "{}"});
  return tx.audit(
      {asked.person ? fmt::format("person:{}", *asked.person) : "anybody", "subscription.asked", about, "{}"});
}

Result<void> Subscribers::end_ask(store::Tx& tx, std::int64_t id) {
  BAVN_CHECK(tx.clear_timer(kTimer, std::to_string(id)));
  if (parts_.recall) BAVN_CHECK(parts_.recall(tx, fmt::format("subscription_ask:{}", id)));
  BAVN_CHECK(tx.exec("DELETE FROM bulletin_ask WHERE id = :i", {{"i", id}}));
  return {};
}

Result<void> Subscribers::ask(std::string_view address, Language language) {
  if (!open_to_all()) return fail(Code::unavailable, "subscriptions by mail are not offered here");
  BAVN_TRY(std::string canonical, address_in(address));
  return parts_.state.write_now([&](store::Tx& tx) -> Result<void> {
    return ask(tx, {canonical, std::nullopt, std::string(to_string(language)), Tlp::clear});
  });
}

/// Makes or changes the one subscription of an address and of a person.
Result<void> Subscribers::begin(store::Tx& tx, const Asked& asked, std::string_view who) {
  BAVN_TRY(const auto there, tx.one<Row>(BAVN_SUBSCRIBER "WHERE address = :a", {{"a", asked.address}}));
  std::optional<Row> own;
  if (asked.person) {
    BAVN_TRY(own, tx.one<Row>(BAVN_SUBSCRIBER "WHERE person = :p", {{"p", *asked.person}}));
    if (there && there->person && there->person != asked.person)
      return fail(Code::conflict, "somebody else subscribes with this address", "/address");
  }
  std::string action = "subscription.changed";
  std::int64_t id = 0;
  if (there && !asked.person) {
    // From outside nobody narrows or widens what a person has: only the language is theirs to say.
    id = there->id;
    BAVN_CHECK(tx.exec("UPDATE bulletin_subscriber SET language = :l WHERE id = :i",
                       {{"l", asked.language}, {"i", there->id}}));
  } else if (there || own) {
    if (there && own && there->id != own->id) BAVN_CHECK(end_row(tx, there->id, who, "another of the same person"));
    id = own ? own->id : there->id;
    BAVN_CHECK(
        tx.exec("UPDATE bulletin_subscriber SET address = :a, person = :p, language = :l, ceiling = :c WHERE id = :i",
                {{"a", asked.address},
                 {"p", asked.person},
                 {"l", asked.language},
                 {"c", event::to_string(asked.ceiling)},
                 {"i", id}}));
  } else {
    BAVN_TRY(const auto all, tx.number("SELECT count(*) FROM bulletin_subscriber"));
    if (all >= parts_.limits.most)
      return fail(Code::unavailable, "there are as many subscribers as subscriptions.most allows");
    BAVN_CHECK(
        tx.exec("INSERT INTO bulletin_subscriber (address, person, language, ceiling, token, since_us) VALUES (:a, :p, "
                ":l, :c, :t, :now)",
                {{"a", asked.address},
                 {"p", asked.person},
                 {"l", asked.language},
                 {"c", event::to_string(asked.ceiling)},
                 {"t", new_token()},
                 {"now", tx.now()}}));
    id = tx.last_id();
    action = "subscription.begun";
  }
  return tx.audit(
      {who.empty() ? fmt::format("subscriber:{}", id) : std::string(who), action, fmt::format("subscriber:{}", id),
       fmt::format("{{\"tlp\":\"{}\",\"language\":\"{}\"}}", event::to_string(asked.ceiling), asked.language)});
}

Result<void> Subscribers::confirm(std::string_view token) {
  return parts_.state.write_now([&](store::Tx& tx) -> Result<void> {
    BAVN_TRY(const auto row,
             tx.one<AskRow>(BAVN_ASK "WHERE token = :t", {{"t", store::Blob{digest_of(token.substr(0, 100))}}}));
    if (!row || from_micros(row->asked_us) + parts_.limits.confirm <= tx.now())
      return fail(Code::forbidden, "this link is wrong, used or too old; ask for a new one");
    const std::string id = std::to_string(row->id);
    BAVN_CHECK(tx.exec("DELETE FROM bulletin_ask WHERE id = :i", {{"i", row->id}}));
    BAVN_CHECK(tx.clear_timer(kTimer, id));
    return begin(tx, {row->address, row->person, row->language, tlp_of(row->ceiling)},
                 row->person ? fmt::format("person:{}", *row->person) : std::string());
  });
}

Result<void> Subscribers::end_row(store::Tx& tx, std::int64_t id, std::string_view who, std::string_view why) {
  BAVN_CHECK(tx.exec("DELETE FROM bulletin_mailed WHERE subscriber = :i", {{"i", id}}));
  BAVN_TRY(const auto n, tx.exec("DELETE FROM bulletin_subscriber WHERE id = :i", {{"i", id}}));
  if (n == 0) return {};
  const std::string subject = fmt::format("subscriber:{}", id);
  if (parts_.recall) BAVN_CHECK(parts_.recall(tx, subject));
  return tx.audit({who.empty() ? subject : std::string(who), "subscription.ended", subject,
                   fmt::format("{{\"why\":\"{}\"}}", why)});
}

Result<void> Subscribers::end(std::string_view token) {
  return parts_.state.write_now([&](store::Tx& tx) -> Result<void> {
    BAVN_TRY(const auto row, tx.one<Row>(BAVN_SUBSCRIBER "WHERE token = :t", {{"t", token.substr(0, 100)}}));
    return row ? end_row(tx, row->id, "", "its own link") : Result<void>();
  });
}

Result<tenants::Person> Subscribers::person_of(const event::Scope& scope) const {
  const auto number = number_of_person(scope.who());
  if (!number) return fail(Code::forbidden, "people subscribe for themselves; keys and partners have the feed");
  return people_.find(event::Scope::local_owner(), PersonId{*number});
}

Result<OwnSubscription> Subscribers::own(const event::Scope& scope) const {
  BAVN_TRY(const auto person, person_of(scope));
  OwnSubscription o;
  o.possible = possible();
  o.state = "none";
  o.language = person.language;
  o.narrowest = scope.ceiling();
  o.ceiling = std::min(Tlp::green, scope.ceiling());
  for (const auto& way : person.ways)
    if (way.kind == tenants::WayKind::mail)
      if (auto address = address_in(way.address)) o.addresses.push_back({*address, way.confirmed.has_value()});
  const auto number = static_cast<std::int64_t>(person.id.value);
  BAVN_CHECK(parts_.state.read([&](store::Reader& db) -> Result<void> {
    BAVN_TRY(const auto row, db.one<Row>(BAVN_SUBSCRIBER "WHERE person = :p", {{"p", number}}));
    const auto tell = [&o](const char* state, const auto& from, std::int64_t since_us) {
      o.state = state;
      o.address = from.address;
      o.language = from.language;
      o.ceiling = tlp_of(from.ceiling);
      o.since = from_micros(since_us);
    };
    if (row) {
      tell("subscribed", *row, row->since_us);
      return {};
    }
    BAVN_TRY(const auto asked, db.one<AskRow>(BAVN_ASK "WHERE person = :p ORDER BY id DESC LIMIT 1", {{"p", number}}));
    if (asked) tell("waits", *asked, asked->asked_us);
    return {};
  }));
  return o;
}

Result<OwnSubscription> Subscribers::subscribe(const event::Scope& scope, const SubscriptionWish& wish) {
  if (!possible()) return fail(Code::unavailable, "no mail server is set up: notify.smtp_host in the settings");
  BAVN_TRY(const OwnSubscription before, own(scope));
  if (wish.ceiling > scope.ceiling())
    return fail(Code::bad_input, fmt::format("{} may have TLP:{} at most", scope.who(), shown(scope.ceiling())),
                "/ceiling");
  const auto language = language_of(wish.language.empty() ? before.language : wish.language);
  if (!language) return fail(Code::bad_input, "languages are da, nb and en", "/language");
  if (before.addresses.empty())
    return fail(Code::conflict, "your contact card has no mail address: who manages people adds it", "/address");
  auto address = before.addresses.begin();
  if (!wish.address.empty()) {
    BAVN_TRY(const std::string wanted, address_in(wish.address));
    address = std::ranges::find(before.addresses, wanted, &OwnSubscription::Address::address);
    if (address == before.addresses.end())
      return fail(Code::bad_input, "this is no mail address of your contact card", "/address");
  }
  const Asked asked{address->address, static_cast<std::int64_t>(number_of_person(scope.who()).value_or(0)),
                    std::string(to_string(*language)), wish.ceiling};
  BAVN_CHECK(parts_.state.write_now([&](store::Tx& tx) -> Result<void> {
    // An address that is subscribed with was confirmed before, by its own link or by a test of the contact card.
    BAVN_TRY(const auto known, tx.number("SELECT count(*) FROM bulletin_subscriber WHERE address = :a AND person = :p",
                                         {{"a", asked.address}, {"p", asked.person}}));
    return address->confirmed || known > 0 ? begin(tx, asked, scope.who()) : ask(tx, asked);
  }));
  return own(scope);
}

Result<void> Subscribers::unsubscribe(const event::Scope& scope) {
  BAVN_TRY(const auto person, person_of(scope));
  const auto number = static_cast<std::int64_t>(person.id.value);
  return parts_.state.write_now([&](store::Tx& tx) -> Result<void> {
    BAVN_TRY(const auto asked, tx.all<AskRow>(BAVN_ASK "WHERE person = :p", {{"p", number}}));
    for (const auto& a : asked) BAVN_CHECK(end_ask(tx, a.id));
    BAVN_TRY(const auto row, tx.one<Row>(BAVN_SUBSCRIBER "WHERE person = :p", {{"p", number}}));
    return row ? end_row(tx, row->id, scope.who(), "by the person") : Result<void>();
  });
}

Result<void> Subscribers::may_manage(const event::Scope& scope) const {
  if (scope.may(Right::people_write) && scope.sees_all()) return {};
  return fail(Code::forbidden, fmt::format("{} may not see or change who subscribes", scope.who()));
}

Result<std::vector<Subscriber>> Subscribers::page(const event::Scope& scope, std::int64_t after,
                                                  std::size_t limit) const {
  BAVN_CHECK(may_manage(scope));
  std::vector<Subscriber> out;
  BAVN_CHECK(parts_.state.read([&](store::Reader& db) -> Result<void> {
    BAVN_TRY(const auto rows, db.all<Row>(BAVN_SUBSCRIBER "WHERE id > :a ORDER BY id LIMIT :n",
                                          {{"a", after}, {"n", static_cast<std::int64_t>(limit)}}));
    for (const auto& r : rows)
      out.push_back({r.id, r.address, r.language, r.person, tlp_of(r.ceiling), from_micros(r.since_us), {}});
    return {};
  }));
  if (parts_.mailed)
    for (auto& one : out) {
      BAVN_TRY(one.mails, parts_.mailed(fmt::format("subscriber:{}", one.id)));
    }
  return out;
}

Result<void> Subscribers::remove(const event::Scope& scope, std::int64_t id) {
  BAVN_CHECK(may_manage(scope));
  return parts_.state.write_now([&](store::Tx& tx) -> Result<void> {
    BAVN_TRY(const auto row, tx.one<Row>(BAVN_SUBSCRIBER "WHERE id = :i", {{"i", id}}));
    if (!row) return fail(Code::not_found, "there is no such subscription", std::to_string(id));
    return end_row(tx, id, scope.who(), "by who manages");
  });
}

Result<std::vector<Mailed>> Subscribers::mails(const event::Scope& scope, std::int64_t id, std::size_t limit) const {
  BAVN_CHECK(may_manage(scope));
  std::vector<Mailed> out;
  if (parts_.mailed) {
    BAVN_TRY(out, parts_.mailed(fmt::format("subscriber:{}", id)));
  }
  BAVN_CHECK(parts_.state.read([&](store::Reader& db) -> Result<void> {
    BAVN_TRY(const auto row, db.one<Row>(BAVN_SUBSCRIBER "WHERE id = :i", {{"i", id}}));
    if (!row) return fail(Code::not_found, "there is no such subscription", std::to_string(id));
    // What was told and the letter are of one unit of the State, so they are of one moment.
    BAVN_TRY(const auto told, db.all<ToldRow>("SELECT bulletin, withdrawn, at_us FROM bulletin_mailed WHERE subscriber "
                                              "= :i ORDER BY at_us",
                                              {{"i", id}}));
    for (auto& mail : out) {
      const auto it = std::ranges::find_if(told, [&](const ToldRow& t) { return from_micros(t.at_us) == mail.at; });
      if (it == told.end()) continue;
      mail.bulletin = it->bulletin;
      mail.withdrawn = it->withdrawn;
    }
    return {};
  }));
  std::ranges::reverse(out);
  if (out.size() > limit) out.resize(limit);
  for (auto& mail : out)
    if (mail.bulletin)
      if (const auto b = parts_.bulletins.show(scope, *mail.bulletin); b && !b->texts.empty())
        mail.title = b->texts.begin()->second.title;
  return out;
}

Result<std::vector<Invited>> Subscribers::invited(const event::Scope& scope) const {
  BAVN_CHECK(may_manage(scope));
  std::vector<Invited> out;
  BAVN_CHECK(parts_.state.read([&](store::Reader& db) -> Result<void> {
    BAVN_TRY(const auto rows, db.all<AskRow>(BAVN_ASK "ORDER BY id DESC"));
    for (const auto& r : rows)
      out.push_back({r.id,
                     r.address,
                     r.language,
                     r.person,
                     from_micros(r.asked_us),
                     from_micros(r.asked_us) + parts_.limits.confirm,
                     {}});
    return {};
  }));
  if (parts_.mailed)
    for (auto& one : out) {
      BAVN_TRY(auto mails, parts_.mailed(fmt::format("subscription_ask:{}", one.id)));
      if (!mails.empty()) one.mail = std::move(mails.back());
    }
  return out;
}

Result<std::int64_t> Subscribers::invite(const event::Scope& scope, std::string_view address, Language language) {
  BAVN_CHECK(may_manage(scope));
  if (!possible()) return fail(Code::unavailable, "no mail server is set up: notify.smtp_host in the settings");
  BAVN_TRY(const std::string canonical, address_in(address));
  std::int64_t id = 0;
  BAVN_CHECK(parts_.state.write_now([&](store::Tx& tx) -> Result<void> {
    BAVN_TRY(const auto there,
             tx.number("SELECT count(*) FROM bulletin_subscriber WHERE address = :a", {{"a", canonical}}));
    if (there > 0) return fail(Code::conflict, "this address subscribes already", "/address");
    BAVN_TRY(const auto before, tx.one<AskRow>(BAVN_ASK "WHERE address = :a", {{"a", canonical}}));
    if (before && from_micros(before->asked_us) + parts_.limits.again > tx.now())
      return fail(Code::conflict, "this address was sent a link a short while ago: subscriptions.ask_again_minutes",
                  "/address");
    BAVN_CHECK(ask(tx, {canonical, std::nullopt, std::string(to_string(language)), Tlp::clear, scope.who()}));
    BAVN_TRY(id, tx.number("SELECT id FROM bulletin_ask WHERE address = :a", {{"a", canonical}}));
    return {};
  }));
  return id;
}

Result<void> Subscribers::take_back(const event::Scope& scope, std::int64_t id) {
  BAVN_CHECK(may_manage(scope));
  return parts_.state.write_now([&](store::Tx& tx) -> Result<void> {
    BAVN_TRY(const auto row, tx.one<AskRow>(BAVN_ASK "WHERE id = :i", {{"i", id}}));
    if (!row) return fail(Code::not_found, "nobody waits with this link: it was used, or it ended", std::to_string(id));
    BAVN_CHECK(end_ask(tx, id));
    return tx.audit({scope.who(), "subscription.taken_back", fmt::format("subscription_ask:{}", id), "{}"});
  });
}

Result<void> Subscribers::on_event(const store::DomainEvent& e) {
  if (e.kind == "person.left") {
    const auto number = number_of_person(e.subject);
    if (!number) return {};
    return parts_.state.write_now([&](store::Tx& tx) -> Result<void> {
      BAVN_CHECK(tx.exec("DELETE FROM bulletin_ask WHERE person = :p", {{"p", static_cast<std::int64_t>(*number)}}));
      BAVN_TRY(const auto row,
               tx.one<Row>(BAVN_SUBSCRIBER "WHERE person = :p", {{"p", static_cast<std::int64_t>(*number)}}));
      return row ? end_row(tx, row->id, "bavn", "the person left") : Result<void>();
    });
  }
  std::int64_t id = 0;
  const auto [end, ec] = std::from_chars(e.subject.data(), e.subject.data() + e.subject.size(), id);
  if (ec != std::errc{}) return {};
  const auto bulletin = parts_.bulletins.show(event::Scope::local_owner(), id);
  if (!bulletin) return bulletin.error().code == Code::not_found ? Result<void>() : std::unexpected(bulletin.error());
  // What it is now counts: an event may come late, and the next one is on its way.
  const bool withdrawn = e.kind == "bulletin.withdrawn";
  if (bulletin->state != (withdrawn ? "withdrawn" : "published") || bulletin->texts.empty()) return {};
  return told(*bulletin, withdrawn);
}

std::optional<Letter> Subscribers::letter(const Row& row, const Bulletin& b, bool withdrawn, bool again,
                                          bool& gone) const {
  Tlp ceiling = tlp_of(row.ceiling);
  bool read_by_others = false;
  if (row.person) {
    const auto person = people_.find(event::Scope::local_owner(), PersonId{static_cast<std::uint64_t>(*row.person)});
    if (!person) {
      gone = person.error().code == Code::not_found;
      return std::nullopt;
    }
    const auto way = std::ranges::find_if(person->ways, [&](const auto& w) {
      const auto address = w.kind == tenants::WayKind::mail ? address_in(w.address) : Result<std::string>("");
      return address && *address == row.address;
    });
    gone = person->left || way == person->ways.end();
    const event::Scope scope = tenants::People::scope_for(*person);
    if (gone || !scope.may(Right::tenants_read)) return std::nullopt;
    ceiling = std::min(ceiling, scope.ceiling());
    read_by_others = !way->outside_tenant && parts_.taken && parts_.taken(person->municipality);
  }
  const Language l = language_of(row.language).value_or(Language::en);
  const auto wanted = b.texts.find(row.language);
  const BulletinText& text = wanted != b.texts.end() ? wanted->second : b.texts.begin()->second;
  const bool above = b.tlp > ceiling;
  if (above && !withdrawn) return std::nullopt;
  // Whoever was told of it must hear that it holds no longer, also when it became narrower meanwhile.
  const bool closed = above || b.tlp > Tlp::amber || (read_by_others && b.tlp > Tlp::clear);
  const bool in_full = !closed && b.tlp <= Tlp::green;
  const std::string site = parts_.site(), tlp = shown(b.tlp), ending = site + std::string(kEnd) + row.token;
  const std::string link = row.person ? fmt::format("{}/bulletins/{}", site, b.id)
                                      : fmt::format("{}/bulletins.atom?language={}", site, row.language);
  const auto say = [&](std::string_view key, std::string_view body = {}) {
    return parts_.texts.say(l, key,
                            {{"name", parts_.name},
                             {"title", text.title},
                             {"source", b.source},
                             {"tlp", tlp},
                             {"link", link},
                             {"why", b.withdrawn_why},
                             {"text", body}});
  };
  Letter mail;
  mail.to = row.address;
  mail.about = fmt::format("subscriber:{}", row.id);
  if (withdrawn) {
    mail.subject = say(closed ? "bulletin_mail.withdrawn.subject_closed" : "bulletin_mail.withdrawn.subject");
    mail.text = say(closed    ? "bulletin_mail.withdrawn.closed"
                    : in_full ? "bulletin_mail.withdrawn.full"
                              : "bulletin_mail.withdrawn.title_only");
  } else if (closed) {
    mail.subject = say("bulletin_mail.subject_closed");
    mail.text = say("bulletin_mail.closed");
  } else {
    mail.subject = say(again ? "bulletin_mail.subject_again" : "bulletin_mail.subject");
    bool cut = false;
    mail.text = in_full ? say("bulletin_mail.full", mail_text(b, text, parts_.limits.text, cut))
                        : say("bulletin_mail.title_only");
    if (cut) mail.text += "\n" + say("bulletin_mail.cut");
  }
  mail.text += "\n\n-- \n" + parts_.texts.say(l, "bulletin_mail.end", {{"name", parts_.name}, {"url", ending}});
  // RFC 2919; RFC 8058 asks for https, and for a DKIM signature over both headers, which the mail server makes.
  mail.headers = fmt::format("List-Id: <bulletins.{}>\nList-Unsubscribe: <{}>", host_of(site), ending);
  if (site.starts_with("https:")) mail.headers += "\nList-Unsubscribe-Post: List-Unsubscribe=One-Click";
  return mail;
}

Result<void> Subscribers::told(const Bulletin& b, bool withdrawn) {
  std::int64_t after = 0;
  while (true) {
    BAVN_TRY(const auto rows, parts_.state.read([&](store::Reader& db) {
      return db.all<Row>(BAVN_SUBSCRIBER "WHERE id > :a ORDER BY id LIMIT :n", {{"a", after}, {"n", kAtATime}});
    }));
    if (rows.empty()) return {};
    if (!possible()) return fail(Code::unavailable, "there are subscribers, and no mail server or web address");
    struct Ready {
      const Row* row = nullptr;
      std::optional<Letter> first, again;
      bool gone = false;
    };
    std::vector<Ready> ready;
    for (const auto& row : rows) {
      Ready r{&row, {}, {}, false};
      r.first = letter(row, b, withdrawn, false, r.gone);
      if (!withdrawn && r.first) r.again = letter(row, b, false, true, r.gone);
      ready.push_back(std::move(r));
    }
    BAVN_CHECK(parts_.state.write_now([&](store::Tx& tx) -> Result<void> {
      for (auto& r : ready) {
        BAVN_TRY(const auto still, tx.number("SELECT count(*) FROM bulletin_subscriber WHERE id = :i AND address = :a",
                                             {{"i", r.row->id}, {"a", r.row->address}}));
        if (still == 0) continue;
        if (r.gone) {
          BAVN_CHECK(end_row(tx, r.row->id, "bavn", "the address is no longer of that person"));
          continue;
        }
        if (!r.first) continue;
        BAVN_TRY(const auto before,
                 tx.one<MailedRow>(
                     "SELECT version, said, withdrawn FROM bulletin_mailed WHERE subscriber = :s AND bulletin = :b",
                     {{"s", r.row->id}, {"b", b.id}}));
        if (withdrawn ? !before || before->withdrawn : before && (before->withdrawn || before->version >= b.version))
          continue;
        const std::string said = sha256(r.first->subject + "\n" + r.first->text);
        const bool same = before && !withdrawn && before->said.bytes == said;
        BAVN_CHECK(
            tx.exec("INSERT INTO bulletin_mailed (subscriber, bulletin, version, said, withdrawn, at_us) VALUES (:s, "
                    ":b, :v, :d, :w, :now) "
                    "ON CONFLICT (subscriber, bulletin) DO UPDATE SET version = excluded.version, said = "
                    "excluded.said, withdrawn = excluded.withdrawn, at_us = excluded.at_us",
                    {{"s", r.row->id},
                     {"b", b.id},
                     {"v", b.version},
                     {"d", store::Blob{said}},
                     {"w", withdrawn},
                     {"now", tx.now()}}));
        if (same) continue;
        Letter& mail = before && r.again ? *r.again : *r.first;
        mail.until = tx.now() + parts_.limits.tried;
        BAVN_CHECK(parts_.post(tx, mail));
      }
      return {};
    }));
    after = rows.back().id;
  }
}

}  // namespace bavn::exchange
