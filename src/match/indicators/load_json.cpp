// MISP: {"Event":{"info":"...","Orgc":{"name":"..."},"Tag":[{"name":"tlp:amber"}],"Attribute":[{"type":"domain","value":"evil.example",
//   "to_ids":true}],"Object":[{"Attribute":[...]}]}}, also in "response" and in lists. STIX 2.1: {"type":"bundle","objects":[...]}.
#include <simdjson.h>

#include <algorithm>
#include <array>
#include <filesystem>
#include <fstream>
#include <unordered_map>

#include "base/hash.hpp"
#include "base/text.hpp"
#include "match/indicators/loader.hpp"

namespace bavn::match::indicators {

using event::Kind;
using event::Tlp;
namespace dom = simdjson::dom;

namespace {

constexpr std::size_t kDeepestJson = 128;

std::string_view text(dom::element from, std::string_view key) {
  std::string_view out;
  if (from[key].get(out) != simdjson::SUCCESS) return {};
  return out;
}
// MISP writes numbers and booleans as strings at times.
std::string scalar(dom::element e) {
  if (std::string_view s; e.get(s) == simdjson::SUCCESS) return std::string(s);
  if (bool b = false; e.get(b) == simdjson::SUCCESS) return b ? "1" : "0";
  if (std::int64_t n = 0; e.get(n) == simdjson::SUCCESS) return std::to_string(n);
  return {};
}
std::string scalar(dom::element from, std::string_view key) {
  dom::element e;
  return from[key].get(e) == simdjson::SUCCESS ? scalar(e) : std::string{};
}
bool truth(const std::string& s) {
  return s == "1" || iequals(s, "true");
}
bool is_array(dom::element e) {
  return e.type() == dom::element_type::ARRAY;
}
bool is_object(dom::element e) {
  return e.type() == dom::element_type::OBJECT;
}

template <class F>
void each(dom::element from, std::string_view key, F&& f) {
  dom::array a;
  if (from[key].get(a) != simdjson::SUCCESS) return;
  std::size_t n = 0;
  for (dom::element e : a) f(e, n++);
}

/// A pattern that is one value or an OR of values is these values.
void take_pattern(const StixPattern& parsed, std::string_view text, Indicator i, const std::string& where,
                  ListTarget& to) {
  for (const event::Observable& o : parsed.plain()) {
    i.kind = o.kind;
    i.value = o.value;
    to.add(i, where);
  }
  if (!parsed.plain().empty()) return;
  i.kind = Kind{};
  i.value = text;
  to.add(i, where);
  if (!parsed.not_evaluated().empty()) {
    ++to.report.not_evaluated;
    to.note(parsed.not_evaluated(), where, text);
  }
}

// ---- MISP

void take_tlp(dom::element holder, std::optional<Tlp>& tlp) {
  each(holder, "Tag", [&](dom::element tag, std::size_t) {
    const std::string_view name = is_object(tag) ? text(tag, "name") : std::string_view{};
    if (name.size() < 4 || !iequals(name.substr(0, 4), "tlp:")) return;
    const Tlp found = event::parse_tlp(name).value_or(Tlp::red);  // unknown marking: the narrowest
    if (!tlp || found > *tlp) tlp = found;
  });
}

struct MispContext {
  std::string source, info;
  std::optional<Tlp> tlp;
};

void misp_attribute(dom::element a, const MispContext& event, const std::string& where, ListTarget& to) {
  if (!is_object(a)) return to.refuse("attribute is no object", where, "");
  const std::string value = scalar(a, "value");
  const std::string_view type = text(a, "type");
  if (type.empty() || value.empty()) return to.refuse("attribute without type or value", where, value);
  if (truth(scalar(a, "deleted"))) return to.skip("deleted", where, value);
  const std::string to_ids = scalar(a, "to_ids");
  if (to.options.only_to_ids && !to_ids.empty() && !truth(to_ids))
    return to.skip("not for detection (to_ids is false)", where, value);
  Indicator i = to.blank();
  i.source = event.source;
  const std::string_view comment = text(a, "comment");
  i.comment = comment.empty() ? event.info : std::string(comment);
  std::optional<Tlp> tlp = event.tlp;
  take_tlp(a, tlp);  // an attribute is no freer than its event
  if (tlp) i.tlp = *tlp;
  if (!read_time(scalar(a, "first_seen"), i.valid_from)) i.valid_from = {};
  if (type == "stix2-pattern") {
    auto parsed = StixPattern::parse(value);
    if (!parsed)
      return to.refuse(parsed.error().what.substr(0, parsed.error().what.rfind(" at character")), where, value);
    return take_pattern(*parsed, value, std::move(i), where, to);
  }
  const bool known = misp_values(type, value, [&](std::string_view kind, std::string_view v) {
    auto o = event::canonical(kind, event::refang(v));
    if (!o) return to.refuse("not a value of MISP type " + std::string(type), where, v);
    i.kind = o->kind;
    i.value = std::move(o->value);
    to.add(i, where);
  });
  if (!known) to.skip("MISP type " + std::string(type) + " is no observable that is seen in logs", where, value);
}

void misp_event(dom::element e, const std::string& where, ListTarget& to) {
  MispContext context;
  context.info = text(e, "info").substr(0, 500);
  dom::element org;
  if (e["Orgc"].get(org) == simdjson::SUCCESS || e["Org"].get(org) == simdjson::SUCCESS)
    context.source = text(org, "name");
  if (!to.options.source.empty() || context.source.empty())
    context.source = to.options.source.empty() ? "misp" : to.options.source;
  take_tlp(e, context.tlp);
  each(e, "Attribute", [&](dom::element a, std::size_t n) {
    misp_attribute(a, context, where + "/Attribute/" + std::to_string(n), to);
  });
  each(e, "Object", [&](dom::element o, std::size_t n) {
    const std::string at = where + "/Object/" + std::to_string(n);
    if (!is_object(o)) return to.refuse("object is none", at, "");
    if (truth(scalar(o, "deleted"))) return to.skip("deleted", at, text(o, "name"));
    each(o, "Attribute", [&](dom::element a, std::size_t m) {
      misp_attribute(a, context, at + "/Attribute/" + std::to_string(m), to);
    });
  });
}

// True when something of MISP was there.
bool misp(dom::element root, const std::string& where, ListTarget& to, unsigned depth = 0) {
  if (depth > 4) return false;
  bool any = false;
  if (is_array(root)) {
    std::size_t n = 0;
    dom::array all;
    if (root.get(all) != simdjson::SUCCESS) return false;
    for (dom::element e : all) any |= misp(e, where + "/" + std::to_string(n++), to, depth + 1);
    return any;
  }
  if (!is_object(root)) return false;
  dom::element inner;
  if (root["response"].get(inner) == simdjson::SUCCESS) return misp(inner, where + "/response", to, depth + 1);
  if (root["Event"].get(inner) == simdjson::SUCCESS && is_object(inner) && root["value"].error() != simdjson::SUCCESS) {
    misp_event(inner, where + "/Event", to);
    return true;
  }
  if (root["Attribute"].get(inner) == simdjson::SUCCESS) {
    if (is_object(inner)) {
      MispContext context{to.options.source.empty() ? "misp" : to.options.source, {}, {}};
      misp_attribute(inner, context, where + "/Attribute", to);
    } else {
      misp_event(root, where, to);
    }
    return true;
  }
  if (root["Object"].get(inner) == simdjson::SUCCESS) {
    misp_event(is_array(inner) ? root : inner, where + (is_array(inner) ? "" : "/Object"), to);
    return true;
  }
  if (!text(root, "type").empty() && root["value"].error() == simdjson::SUCCESS &&
      root["spec_version"].error() != simdjson::SUCCESS &&
      (root["to_ids"].error() == simdjson::SUCCESS || root["category"].error() == simdjson::SUCCESS)) {
    MispContext context{to.options.source.empty() ? "misp" : to.options.source, {}, {}};
    misp_attribute(root, context, where, to);
    return true;
  }
  // An event without anything in it.
  return root["info"].error() == simdjson::SUCCESS &&
         (root["threat_level_id"].error() == simdjson::SUCCESS || root["analysis"].error() == simdjson::SUCCESS);
}

// ---- STIX

constexpr std::ptrdiff_t kTlp1Markings = 4;  // the first ones
constexpr std::string_view kTlp2Extension = "extension-definition--60a3c5c5-0d10-413e-aab3-9e08dde9e88d";
constexpr std::pair<std::string_view, Tlp> kTlpMarkings[] = {
    {"marking-definition--613f2e26-407d-48c7-9eca-b8e91df99dc9", Tlp::clear},
    {"marking-definition--34098fce-860f-48ae-8e50-ebd3cc5e41da", Tlp::green},
    {"marking-definition--f88d31f6-486f-44da-b317-01333bde0b82", Tlp::amber},
    {"marking-definition--5e57c739-391a-4eb3-b6be-7d15ca92d5ed", Tlp::red},
    {"marking-definition--94868c89-83c2-464b-929b-a1a8aa3c8487", Tlp::clear},
    {"marking-definition--bab4a63c-aed9-4cf5-a766-dfca5abac2bb", Tlp::green},
    {"marking-definition--55d920b0-5e8b-4f79-9ee9-91f868d9b421", Tlp::amber},
    {"marking-definition--939a9414-2ddd-4d32-a0cd-375ea402b003", Tlp::amber_strict},
    {"marking-definition--e828b379-4e03-4974-9ac4-e53a884c97c1", Tlp::red},
};

struct StixContext {
  std::unordered_map<std::string, std::string, StringHash, std::equal_to<>> identities;
  std::unordered_map<std::string, std::optional<Tlp>, StringHash, std::equal_to<>>
      markings;  // empty: a statement, no TLP
};

void stix_indicator(dom::element e, const StixContext& context, const std::string& where, ListTarget& to) {
  const std::string_view pattern = text(e, "pattern");
  const std::string_view name = text(e, "name");
  if (truth(scalar(e, "revoked"))) return to.skip("revoked", where, name);
  const std::string_view type = text(e, "pattern_type");
  if (!type.empty() && type != "stix")
    return to.skip("pattern of type " + std::string(type.substr(0, 40)) + ", not stix", where, name);
  if (pattern.empty()) return to.refuse("indicator without pattern", where, name);
  Indicator i = to.blank();
  if (i.source.empty()) {
    const auto by = context.identities.find(text(e, "created_by_ref"));
    i.source = by == context.identities.end() ? "stix" : by->second;
  }
  for (const char* key : {"valid_from", "valid_until"})
    if (dom::element t; e[key].get(t) == simdjson::SUCCESS && t.type() != dom::element_type::STRING && !t.is_null())
      return to.refuse(std::string(key) + " is no time", where, scalar(t));
  if (!read_time(text(e, "valid_from"), i.valid_from))
    return to.refuse("valid_from is no time", where, text(e, "valid_from"));
  if (!read_time(text(e, "valid_until"), i.valid_until))
    return to.refuse("valid_until is no time", where, text(e, "valid_until"));
  if (std::int64_t n = 0; e["confidence"].get(n) == simdjson::SUCCESS) {
    if (n < 0 || n > 100) return to.refuse("confidence is not 0..100", where, name);
    i.confidence = static_cast<std::uint8_t>(n);
  }
  const std::string_view described = text(e, "description");
  i.comment = (described.empty() ? name : described).substr(0, 500);
  // Another Bavn's word, and ours when it comes back: what it only watches for is not made more of here.
  each(e, "labels", [&](dom::element label, std::size_t) {
    std::string_view word;
    if (label.get(word) == simdjson::SUCCESS && word.starts_with("action:"))
      if (const auto action = parse_action(word.substr(7))) i.action = std::min(i.action, *action);
  });
  std::optional<Tlp> tlp, first;  // first: of TLP 1
  const auto take = [](std::optional<Tlp>& in, Tlp t) { in = std::max(in.value_or(Tlp::clear), t); };
  const auto look = [&](dom::element ref) {
    std::string_view id;
    if (ref.get(id) != simdjson::SUCCESS) return take(tlp, Tlp::red);
    const auto known =
        std::find_if(std::begin(kTlpMarkings), std::end(kTlpMarkings), [&](const auto& m) { return m.first == id; });
    if (known != std::end(kTlpMarkings)) return take(known - kTlpMarkings < kTlp1Markings ? first : tlp, known->second);
    const auto own = context.markings.find(id);
    if (own == context.markings.end()) take(tlp, Tlp::red);
    else if (own->second) take(tlp, *own->second);
  };
  each(e, "object_marking_refs", [&](dom::element ref, std::size_t) { look(ref); });
  // What only a part of it is marked with holds for all of it: its value is not given without its parts.
  each(e, "granular_markings", [&](dom::element part, std::size_t) {
    if (dom::element ref; is_object(part) && part["marking_ref"].get(ref) == simdjson::SUCCESS) look(ref);
  });
  // TLP 1 has no amber+strict: who writes both writes red beside it.
  if (first && !(tlp == Tlp::amber_strict && first == Tlp::red)) take(tlp, *first);
  if (tlp) i.tlp = *tlp;
  auto parsed = StixPattern::parse(pattern);
  if (!parsed)
    return to.refuse(parsed.error().what.substr(0, parsed.error().what.rfind(" at character")), where, pattern);
  take_pattern(*parsed, pattern, std::move(i), where, to);
}

void stix_objects(dom::array objects, const std::string& where, ListTarget& to) {
  StixContext context;
  for (dom::element e : objects) {
    if (!is_object(e)) continue;
    const std::string_view type = text(e, "type"), id = text(e, "id");
    if (type == "identity") context.identities.emplace(id, text(e, "name"));
    if (type != "marking-definition") continue;
    std::optional<Tlp> tlp = Tlp::red;  // what is neither TLP nor a statement is the narrowest
    dom::element definition, extension;
    if (e["extensions"].get(extension) == simdjson::SUCCESS && is_object(extension) &&
        extension[kTlp2Extension].get(definition) == simdjson::SUCCESS && is_object(definition)) {
      tlp = event::parse_tlp(text(definition, "tlp_2_0")).value_or(Tlp::red);
    } else if (text(e, "definition_type") == "statement") {
      tlp = std::nullopt;
    } else if (text(e, "definition_type") == "tlp") {
      tlp = Tlp::red;
      if (e["definition"].get(definition) == simdjson::SUCCESS)
        tlp = event::parse_tlp(text(definition, "tlp")).value_or(Tlp::red);
    } else if (const auto name = text(e, "name"); name.size() > 4 && iequals(name.substr(0, 4), "tlp:")) {
      tlp = event::parse_tlp(name).value_or(Tlp::red);
    }
    context.markings.emplace(id, tlp);
  }
  std::size_t n = 0;
  for (dom::element e : objects) {
    const std::string at = where + "/" + std::to_string(n++);
    if (!is_object(e)) {
      to.refuse("object is none", at, "");
      continue;
    }
    const std::string_view type = text(e, "type");
    if (type == "indicator") stix_indicator(e, context, at, to);
    else to.skip("STIX " + std::string(type.substr(0, 60)) + " is no indicator", at, text(e, "id"));
  }
}

}  // namespace

bool misp_values(std::string_view type, std::string_view value,
                 const std::function<void(std::string_view, std::string_view)>& f) {
  struct Mapping {
    std::string_view type, kind, second;  // second: kind of the part behind "|"; "-": not taken
  };
  static constexpr Mapping kTypes[] = {
      {"domain", "domain", ""},
      {"hostname", "domain", ""},
      {"domain|ip", "domain", "ip"},
      {"hostname|port", "domain", "-"},
      {"ip-src", "ip", ""},
      {"ip-dst", "ip", ""},
      {"ip-src|port", "ip", "-"},
      {"ip-dst|port", "ip", "-"},
      {"ip", "ip", ""},
      {"url", "url", ""},
      {"uri", "url", ""},
      {"link", "url", ""},
      {"md5", "md5", ""},
      {"sha1", "sha1", ""},
      {"sha256", "sha256", ""},
      {"filename|md5", "-", "md5"},
      {"filename|sha1", "-", "sha1"},
      {"filename|sha256", "-", "sha256"},
      {"malware-sample", "-", "md5"},
      {"x509-fingerprint-md5", "md5", ""},
      {"x509-fingerprint-sha1", "sha1", ""},
      {"x509-fingerprint-sha256", "sha256", ""},
      {"filename", "file_name", ""},
      {"email-attachment", "file_name", ""},
      {"attachment", "file_name", ""},
      {"email", "email", ""},
      {"email-src", "email", ""},
      {"email-dst", "email", ""},
      {"email-reply-to", "email", ""},
      {"whois-registrant-email", "email", ""},
      {"dns-soa-email", "email", ""},
      {"email-subject", "subject", ""},
      {"email-message-id", "message_id", ""},
      {"user-agent", "user_agent", ""},
      {"AS", "asn", ""},
      {"ja3-fingerprint-md5", "ja3", ""},
      {"mobile-application-id", "app_id", ""},
      {"iban", "bank_account", ""},
      {"bank-account-nr", "bank_account", ""},
      {"phone-number", "phone", ""},
  };
  const auto known =
      std::find_if(std::begin(kTypes), std::end(kTypes), [&](const Mapping& m) { return m.type == type; });
  if (known == std::end(kTypes)) return false;
  if (known->second.empty()) {
    f(known->kind, value);
    return true;
  }
  const auto bar = value.rfind('|');
  const std::string_view left = value.substr(0, bar),
                         right = bar == std::string_view::npos ? std::string_view{} : value.substr(bar + 1);
  if (known->kind != "-") f(known->kind, left);
  if (known->second != "-") f(known->second, right);
  return true;
}

Result<void> load_json(std::string_view bytes, ListTarget& to) {
  dom::parser parser;
  if (parser.allocate(bytes.size(), kDeepestJson) != simdjson::SUCCESS)
    return fail(Code::unavailable, "no memory to read the JSON list");
  dom::element root;
  if (const auto error = parser.parse(bytes.data(), bytes.size()).get(root); error != simdjson::SUCCESS)
    return fail(Code::bad_input, std::string("no valid JSON: ") + simdjson::error_message(error));
  if (is_object(root)) {
    dom::array objects;
    if (root["objects"].get(objects) == simdjson::SUCCESS &&
        (text(root, "type") == "bundle" || root["type"].error() != simdjson::SUCCESS)) {
      to.report.format = "stix";
      stix_objects(objects, "/objects", to);
      return {};
    }
    if (text(root, "type") == "bundle") {
      to.report.format = "stix";
      return {};
    }
    if (const auto id = text(root, "id"), type = text(root, "type");
        !type.empty() && id.size() > type.size() + 2 && id.starts_with(type) &&
        id.substr(type.size(), 2) == "--") {  // one STIX object alone
      to.report.format = "stix";
      if (type == "indicator") stix_indicator(root, {}, "", to);
      else to.skip("STIX " + std::string(type.substr(0, 60)) + " is no indicator", "", id);
      return {};
    }
    if (root["list"].error() == simdjson::SUCCESS && root["name"].error() == simdjson::SUCCESS &&
        root["matching_attributes"].error() == simdjson::SUCCESS)
      return fail(Code::bad_input, "this is an allow list (MISP warninglist), not a list of indicators");
    if (root["iocs"].get(objects) ==
        simdjson::SUCCESS) {  // {"iocs":[{"type":"domain","value":"evil.example","tlp":"white"}]}
      to.report.format = "json";
      std::size_t n = 0;
      for (dom::element e : objects) {
        const std::string where = "/iocs/" + std::to_string(n++);
        if (!is_object(e)) {
          to.refuse("entry is no object", where, "");
          continue;
        }
        Indicator i = to.blank();
        if (i.source.empty()) i.source = "iocs";
        if (const auto tlp = text(e, "tlp"); !tlp.empty()) i.tlp = event::parse_tlp(tlp).value_or(Tlp::red);
        i.comment = text(e, "tag");
        const std::string value = scalar(e, "value");
        const std::string_view kind = text(e, "type");
        auto o = kind == "ip4addr" || kind == "ip6addr" ? event::canonical(Kind::ipv4, value)
                                                        : event::canonical(kind, event::refang(value));
        if (!o) {
          to.refuse("not a value of type " + std::string(kind.substr(0, 40)), where, value);
          continue;
        }
        i.kind = o->kind;
        i.value = std::move(o->value);
        to.add(i, where);
      }
      return {};
    }
  }
  if (is_array(root)) {  // a list of bundles or of STIX objects
    dom::array all;
    if (root.get(all) == simdjson::SUCCESS && all.size() != 0 && is_object(all.at(0)) &&
        (text(all.at(0), "type") == "bundle" || all.at(0)["spec_version"].error() == simdjson::SUCCESS)) {
      to.report.format = "stix";
      std::size_t n = 0;
      bool bundles = false;
      for (dom::element e : all) {
        dom::array objects;
        if (is_object(e) && text(e, "type") == "bundle" && e["objects"].get(objects) == simdjson::SUCCESS) {
          bundles = true;
          stix_objects(objects, "/" + std::to_string(n) + "/objects", to);
        }
        ++n;
      }
      if (!bundles) stix_objects(all, "", to);
      return {};
    }
  }
  to.report.format = "misp";
  if (misp(root, "", to)) return {};
  return fail(Code::bad_input, "JSON of no known shape: expected a MISP event, a STIX 2.1 bundle or {\"iocs\":[...]}");
}

Result<void> load_misp_feed(const std::string& folder, ListTarget& to) {
  namespace fs = std::filesystem;
  const auto read = [](const fs::path& p) -> std::optional<std::string> {
    std::error_code error;
    const auto size = fs::file_size(p, error);
    if (error || size > kLargestJsonList) return std::nullopt;
    std::ifstream in(p, std::ios::binary);
    std::string bytes(size, '\0');
    if (!in.read(bytes.data(), static_cast<std::streamsize>(size))) return std::nullopt;
    return bytes;
  };
  const auto manifest = read(fs::path(folder) / "manifest.json");
  if (!manifest)
    return fail(Code::bad_input,
                "MISP feed without a readable manifest.json; hashes.csv alone names no values: fetch the events");
  dom::parser parser;
  if (parser.allocate(manifest->size(), kDeepestJson) != simdjson::SUCCESS)
    return fail(Code::unavailable, "no memory to read the manifest");
  dom::object events;
  if (parser.parse(*manifest).get(events) != simdjson::SUCCESS)
    return fail(Code::bad_input, "manifest.json is no JSON object");
  for (const auto& [uuid, entry] : events) {
    const bool plain = uuid.size() <= 64 && uuid.find_first_not_of("0123456789abcdefABCDEF-") == std::string_view::npos;
    if (!plain) {  // it becomes a file name
      to.refuse("manifest.json: an event's name is no UUID", "manifest.json", uuid);
      continue;
    }
    const std::string name = std::string(uuid) + ".json";
    const auto bytes = read(fs::path(folder) / name);
    if (!bytes) {
      to.refuse("event of the manifest is missing or larger than 512 MiB", name, text(entry, "info"));
      continue;
    }
    LoadReport one;
    {
      const IndicatorSink sink = [&](const Indicator& i) -> Result<void> {
        to.add(i, name);
        return {};
      };
      ListTarget part(sink, to.options, one);
      if (auto ok = load_json(*bytes, part); !ok) to.refuse(ok.error().what, name, "");
    }
    one.loaded = 0;  // counted by to.add
    to.report.merge(one, name);
  }
  return {};
}

}  // namespace bavn::match::indicators
