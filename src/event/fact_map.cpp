#include "event/fact_map.hpp"

#include <algorithm>
#include <array>

#include "base/json_writer.hpp"

namespace bavn::event {

namespace {

constexpr std::array<std::string_view, 5> kKinds = {"mail", "sign_in", "change", "harm", "request"};
constexpr std::array<std::string_view, 5> kJoins = {"none", "adds", "tells", "fills", "ends"};
constexpr std::array<std::string_view, 8> kSources = {"message_trace", "audit_log", "sign_in", "directory_audit",
                                                      "defender",      "mail_copy", "proxy",   "person"};
constexpr std::array<std::string_view, 10> kChanges = {
    "new_app",    "new_service_principal", "new_secret",     "consent",   "app_role", "inbox_rule",
    "forwarding", "mailbox_permission",    "new_mfa_method", "new_device"};
constexpr std::array<std::string_view, 5> kHarms = {"click", "reported", "vendor_verdict", "risk_alert",
                                                    "login_after_click"};
constexpr std::array<std::string_view, 6> kDeliveries = {"delivered", "junk",    "quarantined",
                                                         "rejected",  "pending", "expanded"};
constexpr std::array<std::string_view, 32> kMembers = {
    "sender",      "recipients", "message_id",  "subject",    "delivery", "urls",          "attachments", "hashes",
    "signed_by",   "list_id",    "failed_auth", "automatic",  "calendar", "knows_content", "key",         "account",
    "ip",          "asn",        "country",     "user_agent", "device",   "session",       "app",         "app_name",
    "interactive", "success",    "device_code", "risk",       "target",   "detail",        "url",         "host"};
static_assert(kMembers[static_cast<std::size_t>(FactMember::host)] == "host");

template <class E, std::size_t N>
std::optional<E> parse(const std::array<std::string_view, N>& names, std::string_view s) {
  const auto at = std::find(names.begin(), names.end(), s);
  if (at == names.end() || s.empty()) return std::nullopt;
  return static_cast<E>(at - names.begin());
}
template <std::size_t N, class E>
std::string_view name(const std::array<std::string_view, N>& names, E e) {
  return static_cast<std::size_t>(e) < N ? names[static_cast<std::size_t>(e)] : "";
}

}  // namespace

std::vector<std::string_view> fields_of(const FactMaps& maps) {
  std::vector<std::string_view> out;
  const auto add = [&](std::string_view n) {
    if (!n.empty() && std::find(out.begin(), out.end(), n) == out.end()) out.push_back(n);
  };
  add(maps.by);
  for (const FactMap& m : maps.maps) {
    for (const auto& [field, values] : m.when) add(field);
    for (const auto& [field, values] : m.unless) add(field);
    for (const std::string& f : m.any) add(f);
    for (const FactTake& t : m.take)
      for (const std::string& f : t.fields) add(f);
  }
  return out;
}

std::optional<FactKind> parse_fact_kind(std::string_view s) {
  return parse<FactKind>(kKinds, s);
}
std::optional<FactSource> parse_fact_source(std::string_view s) {
  return parse<FactSource>(kSources, s);
}
std::optional<FactJoin> parse_fact_join(std::string_view s) {
  return parse<FactJoin>(kJoins, s);
}
std::optional<Change> parse_change(std::string_view s) {
  return parse<Change>(kChanges, s);
}
std::optional<Harm> parse_harm(std::string_view s) {
  return parse<Harm>(kHarms, s);
}
std::optional<Delivery> parse_delivery(std::string_view s) {
  return parse<Delivery>(kDeliveries, s);
}
std::optional<FactMember> parse_fact_member(std::string_view s) {
  return parse<FactMember>(kMembers, s);
}
std::span<const std::string_view> fact_member_names() {
  return {kMembers.data(), static_cast<std::size_t>(FactMember::host) + 1};
}

bool has_member(FactKind kind, FactMember m) {
  using M = FactMember;
  const auto one_of = [m](std::initializer_list<M> list) {
    return std::find(list.begin(), list.end(), m) != list.end();
  };
  switch (kind) {
    case FactKind::mail: return m <= M::key || one_of({M::session, M::app});
    case FactKind::sign_in: return m >= M::account && m <= M::risk;
    case FactKind::change: return one_of({M::account, M::ip, M::session, M::app, M::target, M::detail});
    case FactKind::harm: return one_of({M::account, M::sender, M::message_id, M::url, M::detail, M::key});
    case FactKind::request: return one_of({M::account, M::url, M::host});
  }
  return false;
}

std::string_view to_string(FactKind k) {
  return name(kKinds, k);
}
std::string_view to_string(FactSource s) {
  return name(kSources, s);
}
std::string_view to_string(Change c) {
  return name(kChanges, c);
}
std::string_view to_string(Harm h) {
  return name(kHarms, h);
}
std::string_view to_string(Delivery d) {
  return name(kDeliveries, d);
}

void append_json(std::string& out, const Fact& fact) {
  JsonWriter w(out);
  w.object();
  const auto text = [&](std::string_view key, const std::string& value) {
    if (!value.empty()) w.member(key, value);
  };
  const auto yes = [&](std::string_view key, bool value) {
    if (value) w.member(key, true);
  };
  const auto list = [&](std::string_view key, const std::vector<std::string>& values) {
    if (values.empty()) return;
    w.key(key).array();
    for (const std::string& v : values) w.value(v);
    w.end();
  };
  const FactHead& head = head_of(fact);
  const auto begin = [&](std::string_view kind) {
    w.member("fact", kind).member("happened", format_time(head.happened)).member("source", to_string(head.source));
  };
  if (const auto* m = std::get_if<MailFact>(&fact)) {
    begin("mail");
    w.member("sender", m->sender);
    list("recipients", m->recipients);
    text("message_id", m->message_id);
    text("subject", m->subject);
    w.member("delivery", to_string(m->delivery));
    text("session", m->session);
    text("app", m->app);
    list("urls", m->urls);
    if (!m->attachments.empty()) {
      w.key("attachments").array();
      for (const MailAttachment& a : m->attachments) {
        w.object().member("name", a.name);
        text("sha256", a.sha256);
        yes("active", a.active);
        w.end();
      }
      w.end();
    }
    text("body_simhash", m->body_simhash);
    text("signed_by", m->signed_by);
    text("list_id", m->list_id);
    yes("knows_content", m->knows_content);
    yes("automatic", m->automatic);
    yes("calendar", m->calendar);
    yes("failed_auth", m->failed_auth);
    yes("login_form", m->login_form);
    yes("qr_code", m->qr_code);
  } else if (const auto* s = std::get_if<SignInFact>(&fact)) {
    begin("sign_in");
    text("account", s->account);
    text("ip", s->ip);
    text("asn", s->asn);
    text("country", s->country);
    text("user_agent", s->user_agent);
    text("device", s->device);
    text("session", s->session);
    text("app", s->app);
    text("app_name", s->app_name);
    w.member("interactive", s->interactive).member("success", s->success);
    yes("device_code", s->device_code);
    text("risk", s->risk);
  } else if (const auto* c = std::get_if<ChangeFact>(&fact)) {
    begin("change");
    w.member("change", to_string(c->change));
    text("account", c->account);
    text("target", c->target);
    text("detail", c->detail);
    text("ip", c->ip);
    text("session", c->session);
    text("app", c->app);
  } else if (const auto* h = std::get_if<HarmFact>(&fact)) {
    begin("harm");
    w.member("harm", to_string(h->harm));
    text("account", h->account);
    text("sender", h->sender);
    text("message_id", h->message_id);
    text("url", h->url);
    text("detail", h->detail);
  }
  w.end();
}

}  // namespace bavn::event
