#include "formats/description.hpp"

#include <yaml-cpp/yaml.h>

#include <algorithm>
#include <array>

#include "base/text.hpp"

namespace bavn::formats {

namespace {

constexpr std::array<std::pair<std::string_view, event::Role>, 21> kRoles = {{
    {"none", event::Role::none},
    {"ip", event::Role::ip},
    {"domain", event::Role::domain},
    {"url", event::Role::url},
    {"email", event::Role::email},
    {"emails", event::Role::emails},
    {"hash", event::Role::hash},
    {"hashes", event::Role::hashes},
    {"message_id", event::Role::message_id},
    {"subject", event::Role::subject},
    {"file_name", event::Role::file_name},
    {"user_agent", event::Role::user_agent},
    {"asn", event::Role::asn},
    {"ja3", event::Role::ja3},
    {"app_id", event::Role::app_id},
    {"account", event::Role::account},
    {"bank_account", event::Role::bank_account},
    {"phone", event::Role::phone},
    {"host_or_ip", event::Role::host_or_ip},
    {"text", event::Role::text},
    {"url_path", event::Role::url_path},
}};

struct Bad {
  std::string what;
  int line;
};

int line_of(const YAML::Node& n) {
  return n.Mark().line + 1;
}

std::vector<std::string> strings(const YAML::Node& n, std::string_view key) {
  std::vector<std::string> out;
  if (n.IsScalar()) {
    out.push_back(n.Scalar());
  } else if (n.IsSequence()) {
    for (const auto& item : n) {
      if (!item.IsScalar()) throw Bad{std::string(key) + ": a list of scalars is wanted", line_of(item)};
      out.push_back(item.Scalar());
    }
  } else {
    throw Bad{std::string(key) + ": a scalar or a list is wanted", line_of(n)};
  }
  return out;
}

void only(const YAML::Node& map, std::initializer_list<std::string_view> known, std::string_view of) {
  if (!map.IsMap()) throw Bad{std::string(of) + ": a map is wanted", line_of(map)};
  for (const auto& kv : map) {
    const std::string& key = kv.first.Scalar();
    if (std::find(known.begin(), known.end(), key) != known.end()) continue;
    const auto guess = nearest(key, {known});
    throw Bad{std::string(of) + ": unknown key '" + key + "'" +
                  (guess.empty() ? std::string() : "; did you mean '" + std::string(guess) + "'?"),
              line_of(kv.first)};
  }
}

std::string text_of(const YAML::Node& map, const char* key) {
  const YAML::Node n = map[key];
  if (!n) return {};
  if (!n.IsScalar()) throw Bad{std::string(key) + ": one value is wanted", line_of(n)};
  return n.Scalar();
}

LogsourceEntry logsource_of(const YAML::Node& n) {
  only(n, {"when", "product", "service", "category", "ocsf", "unknown", "aliases", "adds"}, "logsource");
  LogsourceEntry e;
  if (n["when"])
    for (const auto& kv : n["when"]) e.when.emplace_back(kv.first.Scalar(), strings(kv.second, "when"));
  e.product = to_lower(text_of(n, "product"));
  e.service = to_lower(text_of(n, "service"));
  e.category = to_lower(text_of(n, "category"));
  e.ocsf = text_of(n, "ocsf");
  e.unknown = text_of(n, "unknown") == "true";
  if (n["aliases"])
    for (const auto& kv : n["aliases"])
      for (const std::string& from : strings(kv.second, "aliases")) e.aliases.emplace_back(kv.first.Scalar(), from);
  if (n["adds"])
    for (const auto& kv : n["adds"]) e.adds.emplace_back(kv.first.Scalar(), kv.second.Scalar());
  return e;
}

template <class T>
T named(const YAML::Node& map, const char* key, std::optional<T> (*parse)(std::string_view)) {
  const std::string text = text_of(map, key);
  if (const auto found = parse(text)) return *found;
  throw Bad{std::string(key) + ": '" + text + "' is none that is known (event/fact_map.hpp)", line_of(map)};
}

event::FactMember member_of(const YAML::Node& n) {
  if (const auto m = event::parse_fact_member(n.Scalar())) return *m;
  const auto names = event::fact_member_names();
  throw Bad{"take: no fact has '" + n.Scalar() + "'; nearest: '" +
                std::string(nearest(n.Scalar(), {names.begin(), names.end()})) + "'",
            line_of(n)};
}

event::FactTake take_of(event::FactMember member, const YAML::Node& n) {
  using How = event::FactTake::How;
  event::FactTake t;
  t.member = member;
  if (!n.IsMap()) {
    t.fields = strings(n, "take");
    return t;
  }
  only(n, {"from", "all", "is", "contains", "values", "just"}, "take");
  if (n["from"]) t.fields = strings(n["from"], "from");
  const auto texts = [&](const char* key, How how) {
    t.how = how;
    for (std::string& v : strings(n[key], key)) t.values.emplace_back(to_lower(v), std::string());
  };
  if (n["all"]) {
    t.how = How::all;
    t.fields = strings(n["all"], "all");
  } else if (n["is"]) {
    texts("is", How::is);
  } else if (n["contains"]) {
    texts("contains", How::contains);
  } else if (n["just"]) {
    t.how = How::just;
    t.values.emplace_back(text_of(n, "just"), std::string());
  } else if (n["values"]) {
    t.how = How::values;
    for (const auto& kv : n["values"]) {
      const std::string meaning = kv.second.Scalar();
      if (member == event::FactMember::delivery && !event::parse_delivery(meaning))
        throw Bad{"values: '" + meaning + "' is no delivery", line_of(kv.second)};
      t.values.emplace_back(to_lower(kv.first.Scalar()), meaning);
    }
  }
  if (t.fields.empty() && t.how != How::just) throw Bad{"take: no field is named", line_of(n)};
  return t;
}

event::FactWhen when_of(const YAML::Node& n) {
  event::FactWhen out;
  if (!n.IsMap()) throw Bad{"when: a map of fields is wanted", line_of(n)};
  for (const auto& kv : n) {
    out.emplace_back(kv.first.Scalar(), strings(kv.second, "when"));
    for (std::string& v : out.back().second) v = to_lower(v);
  }
  return out;
}

/// The shape is in event/fact_map.hpp.
event::FactMaps facts_of(const YAML::Node& n) {
  only(n, {"source", "by", "take", "make"}, "facts");
  event::FactMaps out;
  out.by = text_of(n, "by");
  const auto source = named(n, "source", event::parse_fact_source);
  std::vector<event::FactTake> common;
  if (n["take"])
    for (const auto& kv : n["take"]) common.push_back(take_of(member_of(kv.first), kv.second));
  for (const auto& entry : n["make"]) {
    only(entry, {"make", "kind", "source", "join", "is", "any", "when", "unless", "take"}, "facts");
    event::FactMap m;
    m.kind = named(entry, "make", event::parse_fact_kind);
    m.source = entry["source"] ? named(entry, "source", event::parse_fact_source) : source;
    if (entry["join"]) m.join = named(entry, "join", event::parse_fact_join);
    if (m.kind == event::FactKind::change) m.change = named(entry, "kind", event::parse_change);
    if (m.kind == event::FactKind::harm) m.harm = named(entry, "kind", event::parse_harm);
    if (entry["is"])
      for (const std::string& v : strings(entry["is"], "is")) m.is.push_back(to_lower(v));
    if (m.is.empty() == !out.by.empty()) throw Bad{"facts: `by` and `is` go together", line_of(entry)};
    if (entry["any"]) m.any = strings(entry["any"], "any");
    if (entry["when"]) m.when = when_of(entry["when"]);
    if (entry["unless"]) m.unless = when_of(entry["unless"]);
    if (entry["take"])
      for (const auto& kv : entry["take"]) {
        const event::FactMember member = member_of(kv.first);
        if (!event::has_member(m.kind, member))
          throw Bad{"take: a fact of this kind has no '" + kv.first.Scalar() + "'", line_of(kv.first)};
        m.take.push_back(take_of(member, kv.second));
      }
    for (const event::FactTake& t : common) {
      const auto same = [&](const event::FactTake& o) { return o.member == t.member; };
      if (event::has_member(m.kind, t.member) && std::none_of(m.take.begin(), m.take.end(), same)) m.take.push_back(t);
    }
    const auto is_key = [](const event::FactTake& t) { return t.member == event::FactMember::key; };
    if ((m.join != event::FactJoin::none) != std::any_of(m.take.begin(), m.take.end(), is_key))
      throw Bad{"facts: `join` and a `key` go together", line_of(entry)};
    out.maps.push_back(std::move(m));
  }
  if (out.maps.size() > 250) throw Bad{"facts: more than 250 entries", line_of(n)};
  return out;
}

Description description_of(const YAML::Node& n) {
  only(n,
       {"name", "title", "reader", "ocsf", "priority", "recognise", "unwrap", "text", "roots", "time", "fields",
        "pairs", "observables", "logsource", "facts"},
       "format");
  Description d;
  d.name = text_of(n, "name");
  d.title = text_of(n, "title");
  if (const std::string r = text_of(n, "reader"); !r.empty()) d.reader = r;
  d.ocsf = text_of(n, "ocsf");
  d.text = text_of(n, "text");
  if (n["priority"]) d.priority = n["priority"].as<int>();
  if (d.name.empty()) throw Bad{"name is missing", 1};
  for (const auto& entry : n["recognise"]) {
    only(entry, {"keys", "values"}, "recognise");
    Recognition r;
    if (entry["keys"]) r.keys = strings(entry["keys"], "keys");
    if (entry["values"])
      for (const auto& kv : entry["values"]) r.values.emplace_back(kv.first.Scalar(), strings(kv.second, "values"));
    d.recognise.push_back(std::move(r));
  }
  if (n["unwrap"]) d.unwrap = strings(n["unwrap"], "unwrap");
  if (n["roots"]) d.roots = strings(n["roots"], "roots");
  std::erase(d.roots, "");
  if (n["time"]) d.time = strings(n["time"], "time");
  if (n["fields"])
    for (const auto& kv : n["fields"]) d.fields.emplace_back(kv.first.Scalar(), strings(kv.second, "fields"));
  for (const auto& p : n["pairs"]) {
    only(p, {"path", "name", "value", "short"}, "pairs");
    d.pairs.push_back({text_of(p, "path"), text_of(p, "name"), text_of(p, "value"), text_of(p, "short") == "true"});
  }
  if (n["observables"])
    for (const auto& kv : n["observables"]) {
      const auto at =
          std::find_if(kRoles.begin(), kRoles.end(), [&](const auto& r) { return r.first == kv.second.Scalar(); });
      if (at == kRoles.end()) {
        std::vector<std::string_view> names;
        for (const auto& r : kRoles) names.push_back(r.first);
        throw Bad{"observables: '" + kv.second.Scalar() + "' is no role; nearest: '" +
                      std::string(nearest(kv.second.Scalar(), names)) + "'",
                  line_of(kv.second)};
      }
      d.observables.emplace_back(kv.first.Scalar(), at->second);
    }
  for (const auto& l : n["logsource"]) d.logsource.push_back(logsource_of(l));
  if (n["facts"]) d.facts = facts_of(n["facts"]);
  return d;
}

}  // namespace

std::string_view to_string(event::Role r) {
  for (const auto& [name, role] : kRoles)
    if (role == r) return name;
  return "none";
}

Result<Description> parse_description(std::string_view yaml, std::string_view where) {
  try {
    return description_of(YAML::Load(std::string(yaml)));
  } catch (const Bad& b) {
    return fail(Code::bad_input, b.what, std::string(where) + ":" + std::to_string(b.line));
  } catch (const YAML::Exception& e) {
    return fail(Code::bad_input, e.msg, std::string(where) + ":" + std::to_string(e.mark.line + 1));
  }
}

}  // namespace bavn::formats
