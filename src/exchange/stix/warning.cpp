#include "exchange/stix/warning.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "base/json_writer.hpp"
#include "base/text.hpp"
#include "exchange/stix/names.hpp"
#include "exchange/tlp_marks.hpp"

namespace bavn::exchange::stix {

namespace mi = match::indicators;
using event::Kind;

namespace {

constexpr std::int64_t kMostCounted = 999'999'999;  // STIX 2.1 section 5.2
constexpr std::uint8_t kSure = 85, kLitByItself = 60;

/// What concerns mails and people of members alone is no indicator for others.
bool for_others(Kind kind) {
  switch (kind) {
    case Kind::message_id:
    case Kind::subject:
    case Kind::account:
    case Kind::phone: return false;
    default: return true;
  }
}

/// Does the domain, or something below it, stand in the value?
bool holds(std::string_view value, std::string_view domain) {
  const std::string text = to_lower_utf8(value), wanted = to_lower_utf8(domain);
  if (wanted.empty()) return false;
  const auto part_of_name = [](char c) { return ascii_digit(c) || (c >= 'a' && c <= 'z') || c == '-'; };
  for (auto at = text.find(wanted); at != std::string::npos; at = text.find(wanted, at + 1)) {
    const auto end = at + wanted.size();
    if ((at == 0 || !part_of_name(text[at - 1])) && (end == text.size() || !part_of_name(text[end]))) return true;
  }
  return false;
}

void begin(JsonWriter& w, const Author& author, std::string_view type, std::string_view id, const ToldWarning& of) {
  w.object().member("type", type).member("spec_version", "2.1").member("id", id);
  w.member("created_by_ref", author.identity()).member("created", timestamp(of.sent));
  w.member("modified", timestamp(std::max(of.sent, of.changed)));
}

void end(JsonWriter& w, const ToldWarning& of) {
  w.key("object_marking_refs").array().value(stix_marking(of.tlp)).value(stix_marking_tlp1(of.tlp)).end().end();
}

}  // namespace

Result<std::optional<ToldWarning>> told_warning(std::string_view about, std::span<const std::string> members) {
  BAVN_TRY(const auto document, net::JsonDocument::parse(about));
  const net::JsonValue c = document.root();
  if (c["to"].size() > 0) return std::optional<ToldWarning>();
  ToldWarning w;
  w.campaign = std::string(c["campaign"].text_or({}));
  w.severity = std::string(c["severity"].text_or("high"));
  w.tlp = event::parse_tlp(c["tlp"].text_or({})).value_or(event::Tlp::red);
  w.sure = !c["lit_by_itself"].boolean().value_or(false);
  w.first_seen = from_micros(c["first_seen_us"].integer().value_or(0));
  w.mails = std::max<std::int64_t>(0, c["mails"].integer().value_or(0));
  const std::string_view from_domain = c["from_domain"].text_or({}), from_address = c["from_address"].text_or({});
  for (const net::JsonValue v : c["look_for"]) {
    auto o = event::canonical(v["kind"].text_or({}), v["value"].text_or({}));
    if (!o || !for_others(o->kind)) continue;
    if (holds(o->value, from_domain) || holds(o->value, from_address)) continue;
    if (std::any_of(members.begin(), members.end(), [&](const std::string& m) { return holds(o->value, m); })) continue;
    w.look_for.push_back(std::move(*o));
  }
  return w;
}

std::string warning_source(std::string_view id) {
  return fmt::format("warning {}", id);
}

std::vector<WarningObject> warning_objects(const Author& author, const ToldWarning& w) {
  std::vector<WarningObject> out;
  const auto name_of = [&](std::string_view type, std::string_view what) {
    return fmt::format("{}--{}", type, uuid5(author.uuid, fmt::format("{}\n{}\n{}", type, w.id, what)));
  };
  const bool known_since = micros(w.first_seen) > 0;
  const Instant first = known_since ? std::min(w.first_seen, w.sent) : w.sent;
  const std::string report = name_of("report", ""), campaign = name_of("campaign", w.campaign);

  WarningObject& c = out.emplace_back(WarningObject{campaign, "campaign", {}, {}});
  {
    JsonWriter j(c.body);
    begin(j, author, "campaign", campaign, w);
    j.member("name", fmt::format("Mail campaign {}", w.campaign.empty() ? w.id : w.campaign));
    j.member("first_seen", timestamp(first));
    end(j, w);
  }
  std::vector<std::string> refs{campaign};
  for (const event::Observable& o : w.look_for) {
    mi::Indicator i;
    i.kind = o.kind;
    i.value = o.value;
    i.source = warning_source(w.id);
    i.confidence = w.sure ? kSure : kLitByItself;
    i.tlp = w.tlp;
    i.action = mi::Action::warn;
    i.valid_from = first;
    if (w.state == "over") i.valid_until = std::max(w.changed, w.sent);
    WarningObject of{indicator_id(author, i.kind, i.value, i.source), "indicator", std::string(to_string(o.kind)), {}};
    append_indicator(of.body, author, i, {w.sent, std::max(w.sent, w.changed), {}, false});
    if (std::find(refs.begin(), refs.end(), of.id) != refs.end()) continue;
    refs.push_back(of.id);
    const std::string id = name_of("relationship", of.id);
    WarningObject link{id, "relationship", of.kind, {}};
    JsonWriter j(link.body);
    begin(j, author, "relationship", id, w);
    j.member("relationship_type", "indicates").member("source_ref", of.id).member("target_ref", campaign);
    end(j, w);
    out.push_back(std::move(of));
    out.push_back(std::move(link));
  }
  if (w.mails > 0) {
    const std::string id = name_of("sighting", campaign);
    WarningObject& s = out.emplace_back(WarningObject{id, "sighting", {}, {}});
    JsonWriter j(s.body);
    begin(j, author, "sighting", id, w);
    j.member("first_seen", timestamp(first)).member("count", std::min(w.mails, kMostCounted));
    j.member("sighting_of_ref", campaign).key("where_sighted_refs").array().value(author.identity()).end();
    j.member("summary", true);
    end(j, w);
    refs.push_back(id);
  }
  WarningObject& r = out.emplace_back(WarningObject{report, "report", {}, {}});
  JsonWriter j(r.body);
  begin(j, author, "report", report, w);
  j.member("name", fmt::format("Warning: mail campaign, severity {}", w.severity));
  j.member("description",
           fmt::format(
               "Mail campaign against members of {}: {} things to look for in mail, resolvers and proxies since {}.{}",
               author.name.empty() ? std::string("a joint CERT") : author.name, w.look_for.size(), timestamp(first),
               w.state == "over" ? " It is over." : ""));
  j.key("report_types").array().value("campaign").value("indicator").end();
  j.member("published", timestamp(w.sent)).member("confidence", static_cast<int>(w.sure ? kSure : kLitByItself));
  j.key("object_refs").array();
  for (const std::string& ref : refs) j.value(ref);
  j.end().key("labels").array().value("severity:" + w.severity).value("warning:" + w.state).end();
  j.member("lang", "en");
  end(j, w);
  return out;
}

Result<std::string> revoked_object(std::string_view body, Instant modified) {
  BAVN_TRY(const auto document, net::JsonDocument::parse(body));
  std::string out;
  JsonWriter w(out);
  w.object();
  for (const net::JsonValue m : document.root()) {
    if (m.key() == "revoked" || m.key() == "description") continue;
    if (m.key() == "modified") w.member("modified", timestamp(modified)).member("revoked", true);
    else w.key(m.key()).raw(m.to_text());
  }
  w.end();
  return out;
}

}  // namespace bavn::exchange::stix
