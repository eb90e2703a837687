#include "input/sources/microsoft365/stand_in/world.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>

#include "base/hash.hpp"
#include "base/json_writer.hpp"
#include "base/text.hpp"

namespace bavn::input::microsoft365::stand_in {
namespace {

using namespace std::chrono_literals;

constexpr std::array kTowns = {"Fjordby", "Lyngholt", "Skovsted", "Vindhavn", "Brovang",  "Elmedal",
                               "Sandvig", "Nordhede", "Kildebro", "Tornlund", "Birkedal", "Havneby"};
constexpr std::array kFirst = {"Anna",  "Bo",   "Clara", "Dan",  "Elin",  "Finn", "Gry", "Hans",
                               "Ida",   "Jens", "Karen", "Lars", "Mette", "Nils", "Oda", "Per",
                               "Rikke", "Sven", "Tove",  "Ulla", "Viggo", "Yrsa"};
constexpr std::array kLast = {"Lind", "Dahl", "Holm", "Berg", "Krog", "Lund",
                              "Moe",  "Ravn", "Skov", "Toft", "Vang", "Wiik"};
constexpr std::array kSubjects = {"Referat fra mødet",    "Byggesag 24/118", "Vedr. din henvendelse", "Vagtplan uge 12",
                                  "Budgetopfølgning",     "Frokost?",        "Svar på høring",        "Kursus i GDPR",
                                  "Ny printer på 2. sal", "Dagsorden"};
constexpr std::array kOutside = {"post@borgerpost.example", "kontakt@leverandor.example", "info@forening.example",
                                 "salg@kontorvarer.example", "hr@region.example"};
constexpr std::string_view kOffice = "4345a7b9-9a63-4910-a426-35363201d503",
                           kTeams = "1fec8e78-bce4-4aaf-ab1b-5451cc387264",
                           kHome = "4765445b-32c6-49b0-83e6-1d93765276ca";

/// Small numbers from a seed, always the same.
class Dice {
 public:
  explicit Dice(std::uint64_t seed) : state_(seed) {}
  std::uint64_t next() {  // splitmix64
    std::uint64_t z = (state_ += 0x9e3779b97f4a7c15);
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
    z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
    return z ^ (z >> 31);
  }
  std::uint64_t below(std::uint64_t n) { return n == 0 ? 0 : next() % n; }
  double fraction() { return static_cast<double>(next() >> 11) * 0x1.0p-53; }
  template <class T>
  const auto& of(const T& list) {
    return list[static_cast<std::size_t>(below(std::size(list)))];
  }

 private:
  std::uint64_t state_;
};

std::uint64_t mix(std::initializer_list<std::uint64_t> parts) {
  std::uint64_t h = 0;
  for (const auto p : parts) h = hash64({reinterpret_cast<const char*>(&p), sizeof p}, h);
  return h;
}

std::string time_text(Instant t) {
  return format_time(std::chrono::floor<std::chrono::seconds>(t));
}
std::string time_plain(Instant t) {  // the audit log writes no zone
  auto text = time_text(t);
  text.pop_back();
  return text;
}

double share_of_day(std::int64_t hour) {  // UTC; people of the north work from 6 to 15
  const auto h = hour % 24;
  const auto weekday = (hour / 24 + 4) % 7;  // 1970-01-01 was a Thursday; 0 Sunday
  const double week = weekday == 0 || weekday == 6 ? 0.1 : 1;
  return week * (h >= 6 && h < 15 ? 1 : h >= 5 && h < 20 ? 0.25 : 0.03);
}

struct SignIn {
  std::string id;
  Instant at;
  const Person* person;
  std::string app, app_name, ip, country, session, agent, device;
  std::uint64_t asn;
  bool interactive = true;
};

std::string sign_in_json(const Tenant& t, const SignIn& s) {
  std::string out;
  JsonWriter w(out);
  w.object()
      .member("id", s.id)
      .member("createdDateTime", time_text(s.at))
      .member("userDisplayName", s.person->name)
      .member("userPrincipalName", s.person->address)
      .member("userId", s.person->id)
      .member("appId", s.app)
      .member("appDisplayName", s.app_name)
      .member("ipAddress", s.ip)
      .member("clientAppUsed", s.interactive ? "Browser" : "Mobile Apps and Desktop clients")
      .member("correlationId", s.id)
      .member("conditionalAccessStatus", "notApplied")
      .member("isInteractive", s.interactive)
      .member("riskState", "none")
      .member("riskLevelDuringSignIn", "none")
      .member("resourceDisplayName", "Microsoft Graph")
      .member("userAgent", s.agent)
      .member("sessionId", s.session)
      .member("uniqueTokenIdentifier", "tok-" + s.id.substr(0, 13))
      .member("autonomousSystemNumber", s.asn)
      .member("authenticationProtocol", "none")
      .member("incomingTokenType", s.interactive ? "none" : "refreshToken")
      .member("authenticationRequirement",
              s.device.empty() ? "singleFactorAuthentication" : "multiFactorAuthentication")
      .member("homeTenantId", t.id)
      .member("resourceTenantId", t.id);
  w.key("signInEventTypes").array().value(s.interactive ? "interactiveUser" : "nonInteractiveUser").end();
  w.key("status")
      .object()
      .member("errorCode", 0)
      .member("failureReason", "Other.")
      .key("additionalDetails")
      .null()
      .end();
  w.key("deviceDetail")
      .object()
      .member("deviceId", s.device)
      .member("displayName", s.device.empty() ? "" : "PC-" + s.device.substr(0, 4))
      .member("operatingSystem", "Windows 10")
      .member("browser", "Chrome 129.0")
      .member("isCompliant", !s.device.empty())
      .member("isManaged", !s.device.empty())
      .member("trustType", s.device.empty() ? "" : "Hybrid Azure AD joined")
      .end();
  w.key("location")
      .object()
      .member("city", s.country == "DK" ? t.town : "")
      .member("state", "")
      .member("countryOrRegion", s.country)
      .end();
  w.end();
  return out;
}

std::string trace_json(const std::string& id, Instant at, const std::string& from, const std::string& to,
                       const std::string& message_id, const std::string& subject, const std::string& ip,
                       std::uint64_t size) {
  std::string out;
  JsonWriter(out)
      .object()
      .member("id", id)
      .member("senderAddress", from)
      .member("recipientAddress", to)
      .member("messageId", message_id)
      .member("receivedDateTime", time_text(at))
      .member("subject", subject)
      .member("size", size)
      .member("fromIP", ip)
      .member("toIP", "")
      .member("status", "delivered")
      .end();
  return out;
}

std::string audit_json(const std::string& id, Instant at, const std::string& what, const std::string& type,
                       const Person& who, const std::string& ip, const std::string& target_id,
                       const std::string& target, const std::string& target_type,
                       const std::vector<std::pair<std::string, std::string>>& changes) {
  std::string out;
  JsonWriter w(out);
  w.object()
      .member("id", id)
      .member("category", target_type == "User" ? "UserManagement" : "ApplicationManagement")
      .member("correlationId", id)
      .member("result", "success")
      .member("resultReason", "")
      .member("activityDisplayName", what)
      .member("activityDateTime", time_text(at))
      .member("loggedByService", "Core Directory")
      .member("operationType", type);
  w.key("initiatedBy")
      .object()
      .key("app")
      .null()
      .key("user")
      .object()
      .member("id", who.id)
      .member("displayName", who.name)
      .member("userPrincipalName", who.address)
      .member("ipAddress", ip)
      .end()
      .end();
  w.key("targetResources")
      .array()
      .object()
      .member("id", target_id)
      .member("displayName", target)
      .member("type", target_type)
      .key("userPrincipalName")
      .null();
  w.key("modifiedProperties").array();
  for (const auto& [name, value] : changes)
    w.object().member("displayName", name).key("oldValue").null().member("newValue", value).end();
  w.end().end().end();
  w.key("additionalDetails")
      .array()
      .object()
      .member("key", "User-Agent")
      .member("value", who.browser)
      .end()
      .end()
      .end();
  return out;
}

std::string activity_json(const Tenant& t, const std::string& id, Instant at, std::string_view operation,
                          int record_type, std::string_view workload, const std::string& user, const std::string& ip,
                          std::string_view more) {
  std::string out;
  JsonWriter(out)
      .object()
      .member("CreationTime", time_plain(at))
      .member("Id", id)
      .member("Operation", operation)
      .member("OrganizationId", t.id)
      .member("RecordType", record_type)
      .member("ResultStatus", "Succeeded")
      .member("UserKey", user)
      .member("UserType", 0)
      .member("Version", 1)
      .member("Workload", workload)
      .member("UserId", user)
      .member("ClientIP", ip)
      .end();
  if (!more.empty()) {
    out.pop_back();
    out += ',';
    out += more;
    out += '}';
  }
  return out;
}

std::string parameters(std::initializer_list<std::pair<std::string_view, std::string_view>> list) {
  std::string out = "\"Parameters\":";
  JsonWriter w(out);
  w.array();
  for (const auto& [name, value] : list) w.object().member("Name", name).member("Value", value).end();
  w.end();
  return out;
}

}  // namespace

std::string World::guid(std::uint64_t a, std::uint64_t b) {
  return fmt::format("{:08x}-{:04x}-4{:03x}-8{:03x}-{:012x}", a >> 32, (a >> 16) & 0xffff, a & 0xfff, (b >> 48) & 0xfff,
                     b & 0xffffffffffff);
}

World::World(WorldOptions options) : options_(options) {
  for (unsigned n = 0; n < options_.tenants; ++n) {
    Dice dice(mix({options_.seed, n, 7}));
    Tenant t{.number = n,
             .id = guid(mix({options_.seed, n, 1}), mix({options_.seed, n, 2})),
             .town = kTowns[n % kTowns.size()],
             .domain = {},
             .people = {}};
    if (n >= kTowns.size()) t.town += std::to_string(n / kTowns.size() + 1);
    t.domain = to_lower(t.town) + "-kommune.example";
    for (unsigned p = 0; p < options_.people; ++p) {
      const std::string first = kFirst[p % kFirst.size()], last = kLast[(p / kFirst.size() + p * 5 + n) % kLast.size()];
      Person person{.name = first + " " + last,
                    .address = to_lower(first) + "." + to_lower(last),
                    .id = guid(mix({options_.seed, n, p, 3}), 5),
                    .device = guid(mix({options_.seed, n, p, 4}), 6),
                    .browser = "Mozilla/5.0 (Windows NT 10.0; Win64; x64) Chrome/129.0",
                    .home_ip = fmt::format("198.51.100.{}", 1 + (p * 7 + n * 31) % 250)};
      if (p >= kFirst.size()) person.address += std::to_string(p);
      person.address += "@" + t.domain;
      t.people.push_back(std::move(person));
    }
    tenants_.push_back(std::move(t));
    if (options_.born == Instant{}) continue;
    // What a look into the past finds: a mailbox that forwards since days, and somebody who looks like us.
    const auto& mine = tenants_.back();
    const auto& someone = mine.people[3 % mine.people.size()];
    add(n, Stream::activity_exchange, options_.born - 75h, guid(mix({options_.seed, n, 90}), 1),
        activity_json(mine, guid(mix({options_.seed, n, 90}), 1), options_.born - 75h, "Set-Mailbox", 1, "Exchange",
                      someone.address, "192.0.2.10",
                      parameters({{"Identity", someone.name},
                                  {"ForwardingSmtpAddress",
                                   "smtp:" + to_lower(someone.name.substr(0, 3)) + "1977@privatmail.example"},
                                  {"DeliverToMailboxAndForward", "True"}})));
    std::string twin = mine.domain;
    twin.replace(twin.find("-kommune"), 8, "-komrnune");  // rn looks like m
    add(n, Stream::trace, options_.born - 50h, guid(mix({options_.seed, n, 91}), 1),
        trace_json(guid(mix({options_.seed, n, 91}), 1), options_.born - 50h, "okonomi@" + twin, someone.address,
                   fmt::format("<inv-{}@{}>", n, twin), "Ændret kontonummer", "203.0.113.201", 18'400));
  }
}

const Tenant* World::tenant(std::string_view id) const {
  for (const auto& t : tenants_)
    if (t.id == id) return &t;
  return nullptr;
}

Duration World::delay(Stream stream, std::uint64_t dice) const {
  Dice d(dice);
  double seconds = 60 + 180 * d.fraction();
  if (stream >= Stream::activity_directory) seconds = 3600 + 1800 * d.fraction();
  if (stream == Stream::trace) seconds = 30 + 120 * d.fraction();
  if (options_.stragglers && d.below(100) < 8)
    seconds += d.below(4) == 0 ? 18 * 3600 * d.fraction() : 3600 * d.fraction();
  return std::chrono::duration_cast<Duration>(std::chrono::duration<double>(seconds * options_.delay_scale));
}

const Tenant* World::tenant_of(std::string_view address) const {
  const auto at = address.rfind('@');
  for (const auto& t : tenants_)
    if (at != address.npos && address.substr(at + 1) == t.domain) return &t;
  return nullptr;
}

std::string World::mail(const std::string& from, const std::string& to, const std::string& message_id,
                        const std::string& subject, Instant at, std::optional<Duration> trace) {
  const auto made = [&] {
    const auto n = ++mails_;
    return guid(mix({options_.seed, n, 51}), mix({options_.seed, n, 52}));
  };
  const Tenant *sender = tenant_of(from), *receiver = tenant_of(to);
  std::string network;
  if (sender != nullptr) {
    network = made();
    add(sender->number, Stream::trace, at, network,
        trace_json(network, at, from, to, message_id, subject, "203.0.113.66", 21'000), trace);
  }
  if (receiver != nullptr && receiver != sender) {
    network = made();
    add(receiver->number, Stream::trace, at + 3s, network,
        trace_json(network, at + 3s, from, to, message_id, subject, "192.0.2.25", 21'300), trace);
  }
  if (receiver != nullptr && on_mail_) on_mail_(to, from, message_id, subject, network, at);
  return network;
}

void World::add(unsigned tenant, Stream stream, Instant at, std::string id, std::string json,
                std::optional<Duration> delay_given) {
  const auto visible = at + delay_given.value_or(delay(stream, mix({options_.seed, hash64(id), 11})));
  added_[{tenant, stream}].push_back({.happened = std::chrono::floor<std::chrono::seconds>(at),
                                      .visible = visible,
                                      .id = std::move(id),
                                      .json = std::move(json)});
}

std::vector<Entry> World::make(const Tenant& t, Stream stream, std::int64_t hour) const {
  Dice dice(mix({options_.seed, t.number, static_cast<std::uint64_t>(stream), static_cast<std::uint64_t>(hour), 21}));
  // Records a person and hour at work.
  constexpr std::array<double, kStreams> rate = {0.3, 1.0, 0.05, 0.02, 1.5, 0.0005, 0.0005,
                                                 1.0, 0.6, 0.05, 0.2,  0.6, 0.5,    0.05};
  const double expected = rate[static_cast<std::size_t>(stream)] * static_cast<double>(t.people.size()) *
                          share_of_day(hour) * options_.busy;
  const auto count = static_cast<std::uint64_t>(expected) + (dice.fraction() < expected - std::floor(expected) ? 1 : 0);
  std::vector<Entry> out;
  for (std::uint64_t i = 0; i < count; ++i) {
    const auto at = from_micros(hour * 3'600'000'000) + std::chrono::seconds(dice.below(3600));
    const Person& person = dice.of(t.people);
    const Person& other = dice.of(t.people);
    const auto id = guid(dice.next(), dice.next());
    const auto session = guid(mix({hash64(person.id), static_cast<std::uint64_t>(hour / 24)}), 9);
    const bool home = dice.below(5) == 0;
    SignIn s{.id = id,
             .at = at,
             .person = &person,
             .app = std::string(dice.below(2) ? kOffice : kTeams),
             .app_name = "Office",
             .ip = home ? person.home_ip : "192.0.2.10",
             .country = "DK",
             .session = session,
             .agent = person.browser,
             .device = person.device,
             .asn = home ? 64'501U : 64'500U};
    const std::string subject =
        std::string(dice.of(kSubjects)) + (dice.below(3) == 0 ? fmt::format(" ({})", dice.below(400)) : "");
    const auto message_id = fmt::format("<{}@{}>", id.substr(0, 18), t.domain);
    std::string json;
    switch (stream) {
      case Stream::background: s.interactive = false; [[fallthrough]];
      case Stream::interactive: json = sign_in_json(t, s); break;
      case Stream::apps: {
        JsonWriter w(json);
        w.object()
            .member("id", id)
            .member("createdDateTime", time_text(at))
            .member("appId", "c0ffee00-0000-4000-8000-000000000001")
            .member("appDisplayName", "Sagssystem")
            .member("servicePrincipalName", "Sagssystem")
            .member("servicePrincipalId", "c0ffee00-0000-4000-8000-000000000002")
            .member("ipAddress", "192.0.2.30")
            .member("resourceDisplayName", "Microsoft Graph")
            .member("resourceId", "00000003-0000-0000-c000-000000000000");
        w.key("signInEventTypes")
            .array()
            .value("servicePrincipal")
            .end()
            .key("status")
            .object()
            .member("errorCode", 0)
            .end()
            .end();
        break;
      }
      case Stream::audits:
        json = audit_json("Directory_" + id, at, "Update user", "Update", person, "192.0.2.10", other.id, other.name,
                          "User", {{"Department", "\"Teknik og miljø\""}});
        break;
      case Stream::trace: {
        const bool inward = dice.below(2) == 0;
        const std::string outside = dice.of(kOutside);
        json = trace_json(id, at, inward ? outside : person.address,
                          inward          ? person.address
                          : dice.below(2) ? other.address
                                          : outside,
                          message_id, subject, inward ? "203.0.113.20" : "192.0.2.25", 4000 + dice.below(90'000));
        break;
      }
      case Stream::alerts:
        JsonWriter(json)
            .object()
            .member("@odata.type", "#microsoft.graph.security.alert")
            .member("id", id)
            .member("title", "Email messages containing malicious URL removed after delivery")
            .member("severity", "informational")
            .member("status", "new")
            .member("category", "InitialAccess")
            .member("serviceSource", "microsoftDefenderForOffice365")
            .member("createdDateTime", time_text(at))
            .member("lastUpdateDateTime", time_text(at))
            .key("evidence")
            .array()
            .end()
            .end();
        break;
      case Stream::risks:
        JsonWriter(json)
            .object()
            .member("id", id)
            .member("riskEventType", "unfamiliarFeatures")
            .member("riskState", "dismissed")
            .member("riskLevel", "low")
            .member("activity", "signin")
            .member("detectedDateTime", time_text(at))
            .member("activityDateTime", time_text(at))
            .member("ipAddress", person.home_ip)
            .member("userId", person.id)
            .member("userPrincipalName", person.address)
            .end();
        break;
      case Stream::email_events:
      case Stream::email_urls:
      case Stream::url_clicks: {
        JsonWriter w(json);
        w.object()
            .member("Timestamp", time_text(at))
            .member("NetworkMessageId", id)
            .member("ReportId", id.substr(0, 23) + "-1");
        if (stream == Stream::email_events)
          w.member("InternetMessageId", message_id)
              .member("SenderFromAddress", std::string(dice.of(kOutside)))
              .member("RecipientEmailAddress", person.address)
              .member("Subject", subject)
              .member("EmailDirection", "Inbound")
              .member("DeliveryAction", "Delivered");
        else if (stream == Stream::email_urls)
          w.member("Url", fmt::format("https://nyheder.example/artikel/{}", dice.below(900)))
              .member("UrlDomain", "nyheder.example");
        else
          w.member("Url", fmt::format("https://nyheder.example/artikel/{}", dice.below(900)))
              .member("ActionType", "ClickAllowed")
              .member("AccountUpn", person.address)
              .member("IPAddress", "192.0.2.10")
              .member("Workload", "Email");
        w.end();
        break;
      }
      case Stream::activity_directory:
        json = activity_json(t, id, at, "UserLoggedIn", 15, "AzureActiveDirectory", person.address, "192.0.2.10", {});
        break;
      case Stream::activity_exchange:
        json = activity_json(t, id, at, dice.below(3) == 0 ? "Send" : "MailItemsAccessed", dice.below(3) == 0 ? 2 : 50,
                             "Exchange", person.address, "192.0.2.10",
                             fmt::format("\"SessionId\":\"{}\",\"ClientInfoString\":\"Client=OWA\"", session));
        break;
      case Stream::activity_sharepoint:
        json = activity_json(
            t, id, at, dice.below(2) ? "FileAccessed" : "FileModified", 6, "SharePoint", person.address, "192.0.2.10",
            fmt::format("\"SourceFileName\":\"sag-{}.docx\",\"UserAgent\":\"Mozilla/5.0\"", dice.below(900)));
        break;
      case Stream::activity_general:
        json = activity_json(t, id, at, "TeamsSessionStarted", 25, "MicrosoftTeams", person.address, "192.0.2.10", {});
        break;
    }
    const auto visible = at + delay(stream, mix({options_.seed, hash64(id), 12}));
    out.push_back({.happened = at,
                   .visible = visible,
                   .id = stream == Stream::audits ? "Directory_" + id : id,
                   .json = std::move(json)});
  }
  std::sort(out.begin(), out.end(),
            [](const Entry& a, const Entry& b) { return std::tie(a.happened, a.id) < std::tie(b.happened, b.id); });
  return out;
}

const std::vector<Entry>& World::hour(unsigned tenant, Stream stream, std::int64_t hour) {
  const HourKey key{tenant, stream, hour};
  const auto found = hours_.find(key);
  if (found != hours_.end()) return found->second;
  if (hours_.size() > 20'000) hours_.clear();  // made again when asked for
  return hours_[key] = make(tenants_[tenant], stream, hour);
}

std::vector<const Entry*> World::between(unsigned tenant, Stream stream, Instant from, Instant to, Instant now) {
  std::vector<const Entry*> out;
  const auto upto = std::min(to, now);
  if (upto < from) return out;
  const auto first = micros(from) / 3'600'000'000, last = micros(upto) / 3'600'000'000;
  if (hours_.size() + static_cast<std::size_t>(last - first + 1) > 20'000)
    hours_.clear();  // here, not while pointers are out
  const auto take = [&](const Entry& e) {
    if (e.happened >= from && e.happened <= upto && e.visible <= now) out.push_back(&e);
  };
  for (auto h = first; h <= last; ++h)
    for (const auto& e : hour(tenant, stream, h)) take(e);
  if (const auto found = added_.find({tenant, stream}); found != added_.end())
    for (const auto& e : found->second) take(e);
  std::stable_sort(out.begin(), out.end(), [](const Entry* a, const Entry* b) {
    return std::tie(a->happened, a->id) < std::tie(b->happened, b->id);
  });
  return out;
}

std::vector<Application> World::applications(unsigned tenant, Instant now) const {
  const auto n = std::uint64_t{tenant};
  std::vector<Application> out = {
      {.id = guid(mix({options_.seed, n, 31}), 1),
       .app_id = guid(mix({options_.seed, n, 32}), 1),
       .name = "Sagssystem",
       .created = options_.born - 24h * 700,
       .mail_rights = {}},
      {.id = guid(mix({options_.seed, n, 33}), 1),
       .app_id = guid(mix({options_.seed, n, 34}), 1),
       .name = "Fakturascanner (leverandør ophørt 2022)",
       .created = options_.born - 24h * 1500,
       .mail_rights = {"Mail.ReadWrite", "Mail.Send"}},
      {.id = guid(mix({options_.seed, n, 35}), 1),
       .app_id = guid(mix({options_.seed, n, 36}), 1),
       .name = "Nyhedsbrev",
       .created = options_.born - 24h * 300,
       .mail_rights = {"Mail.Send"}},
  };
  if (const auto found = made_.find(tenant); found != made_.end())
    for (const auto& app : found->second)
      if (app.created <= now) out.push_back(app);
  return out;
}

std::string World::take_over(unsigned tenant, Instant at, unsigned mails) {
  const Tenant& t = tenants_[tenant];
  Dice dice(mix({options_.seed, tenant, static_cast<std::uint64_t>(micros(at)), 41}));
  const Person& victim = t.people[0];
  const auto id = [&] { return guid(dice.next(), dice.next()); };
  const auto session = id();
  const std::string ip = "203.0.113.66", agent = "Mozilla/5.0 (X11; Linux x86_64) Chrome/118.0";
  const std::string link = "https://bio-link.example/orbes", subject = "Faktura";

  // A stolen session: OfficeHome without a device, another network, then the same session in the background.
  SignIn s{.id = id(),
           .at = at,
           .person = &victim,
           .app = std::string(kHome),
           .app_name = "OfficeHome",
           .ip = ip,
           .country = "NL",
           .session = session,
           .agent = agent,
           .device = {},
           .asn = 64'999};
  add(tenant, Stream::interactive, s.at, s.id, sign_in_json(t, s));
  s.id = id();
  s.at = at + 2min;
  s.interactive = false;
  s.agent = "python-requests/2.31";
  add(tenant, Stream::background, s.at, s.id, sign_in_json(t, s));
  std::string risk;
  const auto risk_id = id();
  JsonWriter(risk)
      .object()
      .member("id", risk_id)
      .member("riskEventType", "anomalousToken")
      .member("riskState", "atRisk")
      .member("riskLevel", "high")
      .member("activity", "signin")
      .member("detectedDateTime", time_text(at + 3min))
      .member("activityDateTime", time_text(at))
      .member("ipAddress", ip)
      .member("userId", victim.id)
      .member("userPrincipalName", victim.address)
      .end();
  add(tenant, Stream::risks, at + 3min, risk_id, std::move(risk));

  // It hides what comes back.
  auto one = id();
  add(tenant, Stream::activity_exchange, at + 5min, one,
      activity_json(
          t, one, at + 5min, "New-InboxRule", 1, "Exchange", victim.address, ip + ":50122",
          fmt::format(
              "\"SessionId\":\"{}\",{}", session,
              parameters({{"Name", "."}, {"SubjectContainsWords", "faktura;hacket"}, {"DeleteMessage", "True"}}))));

  // An application with its own secret: it stays when the password is changed.
  Application app{
      .id = id(), .app_id = id(), .name = "PDF Viewer", .created = at + 10min, .mail_rights = {"Mail.Send"}};
  const std::string principal = id();
  const auto audit = [&](Duration after, const std::string& what, const std::string& type, const std::string& target,
                         const std::string& target_type, std::vector<std::pair<std::string, std::string>> changes) {
    const auto n = "Directory_" + id();
    add(tenant, Stream::audits, at + after, n,
        audit_json(n, at + after, what, type, victim, ip, target, app.name, target_type, changes));
    const auto m = id();
    add(tenant, Stream::activity_directory, at + after, m,
        activity_json(t, m, at + after, what + ".", 8, "AzureActiveDirectory", victim.address, ip,
                      fmt::format("\"ObjectId\":\"{}\"", app.app_id)));
  };
  audit(10min, "Add application", "Add", app.id, "Application", {{"DisplayName", "[\"PDF Viewer\"]"}});
  audit(10min + 20s, "Add service principal", "Add", principal, "ServicePrincipal", {});
  audit(11min, "Update application – Certificates and secrets management ", "Update", app.id, "Application",
        {{"KeyDescription", "[\"[KeyIdentifier=k-1,KeyType=Password]\"]"}});
  audit(12min, "Add app role assignment to service principal", "Assign", principal, "ServicePrincipal",
        {{"AppRole.Value", "\"Mail.Send\""}});
  audit(12min + 5s, "Consent to application", "Assign", principal, "ServicePrincipal",
        {{"ConsentContext.IsAdminConsent", "\"False\""},
         {"ConsentAction.Permissions", "\"[[Scope: Mail.Send offline_access]]\""}});
  made_[tenant].push_back(app);

  // Mail to everybody, thirty a minute: one's own people, the other towns, and outside.
  for (unsigned m = 0; m < mails; ++m) {
    const auto sent = at + 30min + Duration(2s) * m;
    const auto message_id = fmt::format("<{}@{}>", id().substr(0, 18), t.domain);
    const Tenant& town =
        tenants_[m % 4 == 3 ? tenant
                            : static_cast<unsigned>((tenant + 1 + dice.below(tenants_.size())) % tenants_.size())];
    const bool outside = tenants_.size() == 1 ? m % 2 == 0 : m % 10 == 0;
    const std::string to =
        outside ? fmt::format("modtager{}@{}", m,
                              std::string(dice.of(kOutside)).substr(std::string(dice.of(kOutside)).find('@') + 1))
                : town.people[static_cast<std::size_t>(dice.below(town.people.size()))].address;
    const auto out_id = id();
    auto network_id = out_id;
    add(tenant, Stream::trace, sent, out_id,
        trace_json(out_id, sent, victim.address, to, message_id, subject, ip, 21'000));
    if (!outside && town.number != tenant) {
      const auto in_id = id();
      network_id = in_id;  // the trace's id is what Defender calls the network message id
      add(town.number, Stream::trace, sent + 3s, in_id,
          trace_json(in_id, sent + 3s, victim.address, to, message_id, subject, "192.0.2.25", 21'300));
    }
    if (!outside && on_mail_) on_mail_(to, victim.address, message_id, subject, network_id, sent);
    if (!outside) {
      (void)id();  // the same dice as ever
      const auto network = network_id;
      std::string mail, url;
      JsonWriter(mail)
          .object()
          .member("Timestamp", time_text(sent + 3s))
          .member("NetworkMessageId", network)
          .member("ReportId", network + "-1")
          .member("InternetMessageId", message_id)
          .member("SenderFromAddress", victim.address)
          .member("RecipientEmailAddress", to)
          .member("Subject", subject)
          .member("EmailDirection", town.number == tenant ? "Intra-org" : "Inbound")
          .member("DeliveryAction", "Delivered")
          .end();
      JsonWriter(url)
          .object()
          .member("Timestamp", time_text(sent + 3s))
          .member("NetworkMessageId", network)
          .member("ReportId", network + "-2")
          .member("Url", link)
          .member("UrlDomain", "bio-link.example")
          .end();
      add(town.number, Stream::email_events, sent + 3s, network + "-1", std::move(mail));
      add(town.number, Stream::email_urls, sent + 3s, network + "-2", std::move(url));
      if (m % 40 == 5) {
        std::string click;
        const auto click_id = id();
        JsonWriter(click)
            .object()
            .member("Timestamp", time_text(sent + 9min))
            .member("NetworkMessageId", network)
            .member("ReportId", click_id)
            .member("Url", link)
            .member("ActionType", "ClickAllowed")
            .member("AccountUpn", to)
            .member("IPAddress", "192.0.2.10")
            .member("Workload", "Email")
            .end();
        add(town.number, Stream::url_clicks, sent + 9min, click_id, std::move(click));
      }
    }
    one = id();
    add(tenant, Stream::activity_exchange, sent, one,
        activity_json(t, one, sent, "Send", 2, "Exchange", victim.address, ip,
                      fmt::format("\"SessionId\":\"{}\",\"ClientAppId\":\"{}\",\"Item\":{{\"Subject\":\"{}\","
                                  "\"InternetMessageId\":\"{}\"}}",
                                  session, app.app_id, subject, message_id)));
  }
  std::string alert;
  const auto alert_id = id();
  JsonWriter(alert)
      .object()
      .member("@odata.type", "#microsoft.graph.security.alert")
      .member("id", alert_id)
      .member("title", "Suspicious email sending patterns detected")
      .member("severity", "medium")
      .member("status", "new")
      .member("category", "SuspiciousActivity")
      .member("serviceSource", "microsoftDefenderForOffice365")
      .member("createdDateTime", time_text(at + 70min))
      .member("lastUpdateDateTime", time_text(at + 70min))
      .key("evidence")
      .array()
      .end()
      .end();
  add(tenant, Stream::alerts, at + 70min, alert_id, std::move(alert));
  return victim.address;
}

}  // namespace bavn::input::microsoft365::stand_in
