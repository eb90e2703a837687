#include "exchange/stix/object.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <set>

#include "base/digest.hpp"
#include "base/encoding.hpp"
#include "base/json_writer.hpp"
#include "base/text.hpp"
#include "exchange/stix/names.hpp"
#include "exchange/tlp_marks.hpp"

namespace bavn::exchange::stix {

namespace {

using event::Tlp;

constexpr std::string_view kTlp2Extension = "extension-definition--60a3c5c5-0d10-413e-aab3-9e08dde9e88d";
constexpr std::size_t kMostSectors = 20, kLongestName = 300;

/// Where each element of the array "objects" at the top stands in a text that is known to be valid JSON; empty: not found so.
std::vector<std::string_view> slices(std::string_view text) {
  std::vector<std::string_view> out;
  std::size_t depth = 0, from = 0;
  bool objects = false, key = false;
  for (std::size_t i = 0; i < text.size(); ++i) {
    const char c = text[i];
    if (c == '"') {
      const std::size_t begin = i++;
      for (; i < text.size() && text[i] != '"'; ++i)
        if (text[i] == '\\') ++i;
      if (depth == 1) key = text.substr(begin, i - begin + 1) == "\"objects\"";
    } else if (c == '{' || c == '[') {
      ++depth;
      if (depth == 2 && c == '[' && key) objects = true;
      else if (depth == 3 && objects) from = i;
    } else if (c == '}' || c == ']') {
      if (depth == 3 && objects) out.push_back(text.substr(from, i - from + 1));
      if (depth == 2 && objects) return out;
      --depth;
    }
  }
  return {};
}

void canonical(net::JsonValue v, std::string& out) {
  if (v.is_object()) {
    std::vector<net::JsonValue> members;
    for (const net::JsonValue m : v) members.push_back(m);
    std::ranges::sort(members, {}, [](const net::JsonValue& m) { return m.key(); });
    out += '{';
    for (const net::JsonValue m : members) {
      if (out.back() != '{') out += ',';
      append_json_string(out, m.key());
      out += ':';
      canonical(m, out);
    }
    out += '}';
  } else if (v.is_array()) {
    out += '[';
    bool first = true;
    for (const net::JsonValue e : v) {
      if (!std::exchange(first, false)) out += ',';
      canonical(e, out);
    }
    out += ']';
  } else {
    out += v.to_text();
  }
}

std::string name_in(net::JsonValue v) {
  return std::string(v.text_or("").substr(0, kLongestName));
}

/// What it says itself, whatever its id.
std::optional<Tlp> said_by_definition(net::JsonValue m) {
  if (const auto level = m["extensions"][kTlp2Extension]["tlp_2_0"].text())
    return event::parse_tlp(*level).value_or(Tlp::red);
  const std::string_view kind = m["definition_type"].text_or("");
  if (kind == "statement") return std::nullopt;
  if (kind == "tlp") return event::parse_tlp(m["definition"]["tlp"].text_or("")).value_or(Tlp::red);
  if (const auto name = m["name"].text_or(""); name.size() > 4 && iequals(name.substr(0, 4), "tlp:"))
    return event::parse_tlp(name).value_or(Tlp::red);
  return Tlp::red;
}

Result<Object> object_of(net::JsonValue v, const ReadLimits& limits,
                         const std::map<std::string, std::optional<Tlp>, std::less<>>& markings) {
  const auto wrong = [](std::string_view what) { return fail(Code::bad_input, std::string(what)); };
  Object o;
  o.id = name_in(v["id"]);
  o.type = name_in(v["type"]);
  if (o.type == "bundle") return wrong("a bundle inside is not taken apart");
  if (!is_id(o.id, o.type)) return wrong("its id is not its type, two hyphens and a UUID");
  const bool dated = static_cast<bool>(v["created"]) || static_cast<bool>(v["modified"]);
  // Observables of STIX 2.1 need not say their version; whatever else says none is STIX 2.0 (section 3.2).
  o.spec_version = v["spec_version"] ? name_in(v["spec_version"]) : dated ? "2.0" : "2.1";
  if (o.spec_version != "2.1" && o.spec_version != "2.0") return wrong("its spec_version is neither 2.0 nor 2.1");
  std::optional<Instant> created, modified;
  for (const auto& [name, at] : {std::pair<const char*, std::optional<Instant>*>{"created", &created},
                                 std::pair<const char*, std::optional<Instant>*>{"modified", &modified}}) {
    const net::JsonValue t = v[name];
    if (!t) continue;
    *at = t.text() && t.text()->size() <= 40 ? parse_time(*t.text()) : std::nullopt;
    if (!*at) return wrong(fmt::format("its {} is no timestamp", name));
  }
  if (created && modified && *modified < *created) return wrong("it was modified before it was created");
  if (modified || created) {
    o.version = std::string(v[modified ? "modified" : "created"].text_or(""));
    o.version_at = modified ? *modified : *created;
    if (micros(o.version_at) < 0) return wrong("its version is before 1970");
    if (limits.latest != Instant{} && o.version_at > limits.latest)
      return wrong("its version lies in the future: a clock is wrong");
  }
  // What the ids of TLP mean is settled. Passed on, another meaning would be ours.
  if (is_tlp_marking(o.id) && said_by_definition(v) != tlp_of_stix_marking(o.id))
    return wrong("its id is that of a marking of TLP, and it says something else");
  if (const net::JsonValue refs = v["object_marking_refs"]; refs && !refs.is_array())
    return wrong("its object_marking_refs are no list");
  o.tlp = tlp_of(v, markings, o.type == "marking-definition" ? Tlp::clear : limits.unmarked);
  o.created_by = name_in(v["created_by_ref"]);
  o.revoked = v["revoked"].boolean().value_or(false);
  for (const net::JsonValue label : v["labels"]) {
    const std::string_view s = label.text_or("");
    if (s.size() > 7 && s.size() < 80 && iequals(s.substr(0, 7), "sector:") && o.sectors.size() < kMostSectors)
      o.sectors.push_back(to_lower(trim(s.substr(7))));
  }
  return o;
}

}  // namespace

std::string canonical_json(net::JsonValue v) {
  std::string out;
  canonical(v, out);
  return out;
}

std::optional<Tlp> tlp_of_definition(net::JsonValue m) {
  const std::string_view id = m["id"].text_or("");
  return is_tlp_marking(id) ? tlp_of_stix_marking(id) : said_by_definition(m);
}

Tlp tlp_of(net::JsonValue object, const std::map<std::string, std::optional<Tlp>, std::less<>>& markings,
           Tlp unmarked) {
  std::optional<Tlp> second, first, other;  // of TLP 2.0, of TLP 1, of definitions that came along
  const auto take = [](std::optional<Tlp>& in, Tlp t) { in = std::max(in.value_or(Tlp::clear), t); };
  const auto look = [&](net::JsonValue ref) {
    const std::string_view id = ref.text_or("");
    if (is_tlp_marking(id)) {
      const Tlp t = tlp_of_stix_marking(id);
      take(stix_marking(t) == id ? second : first, t);
    } else if (const auto known = markings.find(id); known != markings.end()) {
      if (known->second) take(other, *known->second);
    } else {
      take(other, Tlp::red);
    }
  };
  for (const net::JsonValue ref : object["object_marking_refs"]) look(ref);
  for (const net::JsonValue part : object["granular_markings"])
    if (part["marking_ref"]) look(part["marking_ref"]);  // else it only says the language of that part
  // TLP 1 has no amber+strict: who writes both writes red beside it. Elsewhere the two mean the same, or somebody tightened one.
  std::optional<Tlp> found = second;
  if (first && !(second == Tlp::amber_strict && first == Tlp::red)) take(found, *first);
  if (other) take(found, *other);
  return found.value_or(unmarked);
}

Result<ReadObjects> read_objects(std::string_view text, const ReadLimits& limits) {
  BAVN_TRY(const net::JsonDocument document, net::JsonDocument::parse(text));
  const net::JsonValue root = document.root();
  if (!root.is_object()) return fail(Code::bad_input, "this is neither a TAXII envelope nor a STIX bundle");
  if (const net::JsonValue type = root["type"]; type && type.text_or("") != "bundle")
    return fail(Code::bad_input, "this is a single object: it belongs into the list \"objects\" of an envelope");
  const net::JsonValue objects = root["objects"];
  if (objects && !objects.is_array()) return fail(Code::bad_input, "\"objects\" is no list", "/objects");
  if (!objects && !root["type"] && root.size() != 0 && !root["more"])
    return fail(Code::bad_input, "this is neither a TAXII envelope nor a STIX bundle: it has no list \"objects\"");
  if (objects.size() > limits.objects)
    return fail(Code::bad_input, fmt::format("more than {} objects at once; send them in parts", limits.objects),
                "/objects");
  ReadObjects out;
  out.more = root["more"].boolean().value_or(false);
  out.next = std::string(root["next"].text_or(""));

  std::map<std::string, std::optional<Tlp>, std::less<>> markings;
  for (const net::JsonValue v : objects)
    if (v["type"].text_or("") == "marking-definition") markings.emplace(v["id"].text_or(""), tlp_of_definition(v));
  if (limits.marking) {
    std::set<std::string, std::less<>> asked;
    const auto fetch = [&](std::string_view id) {
      if (is_tlp_marking(id) || markings.contains(id) || asked.contains(id) || asked.size() >= 1000) return;
      asked.emplace(id);
      const auto body = limits.marking(id);
      const auto read = body ? net::JsonDocument::parse(*body) : fail(Code::not_found, "");
      if (read) markings.emplace(id, tlp_of_definition(read->root()));
    };
    for (const net::JsonValue v : objects) {
      for (const net::JsonValue ref : v["object_marking_refs"]) fetch(ref.text_or(""));
      for (const net::JsonValue part : v["granular_markings"]) fetch(part["marking_ref"].text_or(""));
    }
  }

  std::vector<std::string_view> where = slices(text);
  std::size_t n = 0;
  for (const net::JsonValue v : objects) {
    const std::size_t at = n++;
    const auto refuse = [&](std::string reason) {
      const std::string id = name_in(v["id"]);
      out.refused.push_back(
          {id.empty() ? fmt::format("objects/{}", at) : id, name_in(v["modified"]), std::move(reason)});
    };
    if (!v.is_object()) {
      refuse("it is no object");
      continue;
    }
    std::string body = where.size() == objects.size() ? std::string(where[at]) : v.to_text();
    if (body.size() > limits.object_bytes) {
      refuse(fmt::format("it is larger than {} bytes", limits.object_bytes));
      continue;
    }
    auto object = object_of(v, limits, markings);
    if (!object) {
      refuse(std::move(object.error().what));
      continue;
    }
    object->digest = to_hex(blake2b256(canonical_json(v)).substr(0, 16));
    object->body = std::move(body);
    out.objects.push_back(std::move(*object));
  }
  return out;
}

}  // namespace bavn::exchange::stix
