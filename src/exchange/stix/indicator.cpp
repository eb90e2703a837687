#include "exchange/stix/indicator.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>

#include "base/json_writer.hpp"
#include "base/text.hpp"
#include "exchange/stix/names.hpp"
#include "exchange/tlp_marks.hpp"
#include "match/indicators/stix_pattern.hpp"

namespace bavn::exchange::stix {

namespace {

namespace mi = match::indicators;
using event::Kind;
using event::Tlp;

std::string quoted(std::string_view s) {
  std::string out = "'";
  for (const char c : s) {
    if (c == '\\' || c == '\'') out += '\\';
    out += c;
  }
  return out + '\'';
}

std::string equals(std::string_view path, std::string_view value) {
  return fmt::format("[{} = {}]", path, quoted(value));
}

std::string either(std::string_view path, std::string_view one, std::string_view other) {
  return fmt::format("[{} = {} OR {} = {}]", path, quoted(one), path, quoted(other));
}

std::string kind_name(Kind kind) {
  return kind == Kind{} ? std::string("pattern") : std::string(event::to_string(kind));
}

/// A refusal that counts: no values in it.
std::unexpected<Error> wrong(std::string_view what) {
  return fail(Code::bad_input, std::string(what));
}

Result<Instant> time_of(net::JsonValue object, const char* name) {
  const net::JsonValue v = object[name];
  if (!v || v.is_null()) return Instant{};
  const auto t = v.text() && v.text()->size() <= 40 ? parse_time(*v.text()) : std::nullopt;
  if (!t) return wrong(fmt::format("its {} is no timestamp", name));
  return *t;
}

void labels(JsonWriter& w, const mi::Indicator& i, const std::vector<std::string>& sectors) {
  w.key("labels").array().value(fmt::format("action:{}", mi::to_string(i.action)));
  for (const std::string& sector : sectors) w.value("sector:" + sector);
  w.end();
}

}  // namespace

std::string indicator_id(const Author& author, Kind kind, std::string_view value, std::string_view source) {
  return "indicator--" + uuid5(author.uuid, fmt::format("indicator\n{}\n{}\n{}", kind_name(kind), value, source));
}

std::string pattern_of(Kind kind, std::string_view value) {
  switch (kind) {
    case Kind::domain: return equals("domain-name:value", value);
    case Kind::url:
      // A canonical URL without a scheme is both http and https.
      if (value.find("://") != std::string_view::npos) return equals("url:value", value);
      return either("url:value", "https://" + std::string(value), "http://" + std::string(value));
    case Kind::ipv4: return equals("ipv4-addr:value", value);
    case Kind::ipv6: return equals("ipv6-addr:value", value);
    case Kind::cidr:
      return fmt::format("[{}:value ISSUBSET {}]",
                         value.find(':') == std::string_view::npos ? "ipv4-addr" : "ipv6-addr", quoted(value));
    case Kind::md5: return equals("file:hashes.MD5", value);
    case Kind::sha1: return equals("file:hashes.'SHA-1'", value);
    case Kind::sha256: return equals("file:hashes.'SHA-256'", value);
    case Kind::email: return equals("email-addr:value", value);
    case Kind::mail_domain: {
      std::string regex = "@";
      for (const char c : value) {
        if (c == '.') regex += '\\';
        regex += c;
      }
      return fmt::format("[email-addr:value MATCHES {}]", quoted(regex + '$'));
    }
    case Kind::message_id: return either("email-message:message_id", fmt::format("<{}>", value), value);
    case Kind::subject: return equals("email-message:subject", value);
    case Kind::file_name: return equals("file:name", value);
    case Kind::user_agent:
      return equals("network-traffic:extensions.'http-request-ext'.request_header.'User-Agent'", value);
    case Kind::asn:
      return fmt::format("[autonomous-system:number = {}]", value.starts_with("AS") ? value.substr(2) : value);
    case Kind::account: return equals("user-account:account_login", value);
    case Kind::ja3: return equals("x-bavn-ja3:value", value);
    case Kind::app_id: return equals("x-bavn-app-id:value", value);
    case Kind::bank_account: return equals("x-bavn-bank-account:value", value);
    case Kind::phone: return equals("x-bavn-phone:value", value);
  }
  return std::string(value);  // a pattern already
}

void append_indicator(std::string& out, const Author& author, const mi::Indicator& i, const Standing& at) {
  JsonWriter w(out);
  const std::string name =
      i.is_pattern() ? std::string("pattern") : fmt::format("{} {}", event::to_string(i.kind), i.value);
  w.object()
      .member("type", "indicator")
      .member("spec_version", "2.1")
      .member("id", indicator_id(author, i.kind, i.value, i.source))
      .member("created_by_ref", author.identity())
      .member("created", timestamp(at.created))
      .member("modified", timestamp(at.modified));
  if (at.revoked) w.member("revoked", true);
  w.member("name", name.substr(0, 500));
  if (!i.comment.empty() && !at.revoked) w.member("description", i.comment);
  w.key("indicator_types").array();
  w.value(i.action == mi::Action::watch ? "anomalous-activity" : "malicious-activity").end();
  w.member("pattern", i.is_pattern() ? i.value : pattern_of(i.kind, i.value))
      .member("pattern_type", "stix")
      .member("pattern_version", "2.1");
  const Instant from = micros(i.valid_from) > 0 ? i.valid_from : at.created;
  w.member("valid_from", timestamp(from));
  // STIX wants valid_until after valid_from, and both are cut to milliseconds.
  if (micros(i.valid_until) > 0 && timestamp(i.valid_until) > timestamp(from))
    w.member("valid_until", timestamp(i.valid_until));
  w.member("confidence", static_cast<int>(i.confidence));
  labels(w, i, at.sectors);
  w.key("object_marking_refs").array().value(stix_marking(i.tlp)).value(stix_marking_tlp1(i.tlp)).end();
  w.end();
}

void append_identity(std::string& out, const Author& author) {
  JsonWriter(out)
      .object()
      .member("type", "identity")
      .member("spec_version", "2.1")
      .member("id", author.identity())
      .member("created", timestamp(author.since))
      .member("modified", timestamp(author.since))
      .member("name", author.name.empty() ? std::string("hub") : author.name)
      .member("identity_class", "organization")
      .end();
}

std::vector<Marking> markings() {
  std::vector<Marking> out;
  const Instant second = *parse_time("2022-10-01T00:00:00Z"), first = *parse_time("2017-01-20T00:00:00Z");
  for (const Tlp tlp : {Tlp::clear, Tlp::green, Tlp::amber, Tlp::amber_strict, Tlp::red}) {
    std::string name = "TLP:";
    for (const char c : event::to_string(tlp)) name += c >= 'a' && c <= 'z' ? static_cast<char>(c - 32) : c;
    Marking m{std::string(stix_marking(tlp)), {}, second};
    JsonWriter w(m.body);
    w.object().member("type", "marking-definition").member("spec_version", "2.1").member("id", m.id);
    w.member("created", timestamp(second)).member("name", name).key("extensions").object();
    w.key("extension-definition--60a3c5c5-0d10-413e-aab3-9e08dde9e88d").object();
    w.member("extension_type", "property-extension").member("tlp_2_0", event::to_string(tlp)).end().end().end();
    out.push_back(std::move(m));
  }
  for (const Tlp tlp : {Tlp::clear, Tlp::green, Tlp::amber, Tlp::red}) {
    const std::string level = tlp == Tlp::clear ? "white" : std::string(event::to_string(tlp));
    std::string name = "TLP:";
    for (const char c : level) name += static_cast<char>(c - 32);
    Marking m{std::string(stix_marking_tlp1(tlp)), {}, first};
    JsonWriter w(m.body);
    w.object().member("type", "marking-definition").member("spec_version", "2.1").member("id", m.id);
    w.member("created", timestamp(first)).member("definition_type", "tlp").member("name", name);
    w.key("definition").object().member("tlp", level).end().end();
    out.push_back(std::move(m));
  }
  return out;
}

Result<IndicatorsRead> indicators_of(net::JsonValue object, const mi::Indicator& defaults, Tlp tlp) {
  const std::string_view language = object["pattern_type"].text_or("stix");
  if (language != "stix") return wrong("its pattern is of another language than STIX");
  const auto pattern = object["pattern"].text();
  if (!pattern || pattern->empty()) return wrong("an indicator without a pattern");
  mi::Indicator i = defaults;
  i.tlp = tlp;
  BAVN_TRY(i.valid_from, time_of(object, "valid_from"));
  BAVN_TRY(const Instant until, time_of(object, "valid_until"));
  if (until != Instant{}) i.valid_until = until;
  if (i.valid_until != Instant{} && i.valid_until <= i.valid_from) return wrong("it ends before it begins");
  if (const net::JsonValue c = object["confidence"]) {
    const auto n = c.integer();
    if (!n || *n < 0 || *n > 100) return wrong("its confidence is not 0 to 100");
    i.confidence = static_cast<std::uint8_t>(*n);
  }
  // Another Bavn's word, and ours when it comes back: what it only watches for is not made more of here.
  for (const net::JsonValue label : object["labels"])
    if (const std::string_view word = label.text_or(""); word.starts_with("action:"))
      if (const auto action = mi::parse_action(word.substr(7))) i.action = std::min(i.action, *action);
  const std::string_view name = object["name"].text_or(""), described = object["description"].text_or("");
  i.comment = std::string((described.empty() ? name : described).substr(0, 500));
  auto parsed = mi::StixPattern::parse(*pattern);
  if (!parsed) {
    const std::string& what = parsed.error().what;
    return wrong(what.substr(0, what.rfind(" at character")));
  }
  IndicatorsRead out;
  if (!parsed->not_evaluated().empty()) {
    out.not_evaluated = parsed->not_evaluated();
    return out;
  }
  if (parsed->plain().empty()) {
    i.kind = Kind{};
    i.value = std::string(*pattern);
    out.indicators.push_back(std::move(i));
    return out;
  }
  for (const event::Observable& o : parsed->plain()) {
    i.kind = o.kind;
    i.value = o.value;
    out.indicators.push_back(i);
  }
  return out;
}

}  // namespace bavn::exchange::stix
