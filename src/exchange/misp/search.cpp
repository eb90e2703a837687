#include "exchange/misp/search.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <span>

#include "base/json_writer.hpp"
#include "base/text.hpp"

namespace bavn::exchange::misp {

namespace {

constexpr std::int64_t kWindow = 100'000;     // attributes looked at in one read
constexpr std::int64_t kEventWindow = 2'000;  // events
constexpr std::size_t kMostWords = 10'000;
constexpr auto kLongest = std::chrono::seconds(60);

void add_word(Words& w, std::string_view text, std::vector<std::string>& to) {
  for (std::size_t from = 0; from <= text.size();) {
    const std::size_t end = std::min(text.find("&&", from), text.size());
    const std::string_view one = trim(text.substr(from, end - from));
    if (one.starts_with('!') && one.size() > 1) w.none.emplace_back(one.substr(1));
    else if (!one.empty()) to.emplace_back(one);
    from = end + 2;
  }
}

void add_words(Words& w, net::JsonValue v, std::vector<std::string>& to) {
  if (v.is_array()) {
    for (const net::JsonValue e : v) add_words(w, e, to);
  } else if (const std::string s = scalar(v); !s.empty()) {
    add_word(w, s, to);
  }
}

std::optional<std::int64_t> moment(std::string_view s, Instant now) {
  if (s.empty()) return std::nullopt;
  // A clock's reading has a fraction where it comes from a program: PyMISP sends one for every datetime.
  const std::string_view whole = s.substr(0, s.find('.'));
  const std::string_view fraction = s.substr(std::min(whole.size() + 1, s.size()));
  if (!whole.empty() && whole.size() <= 12 && std::all_of(whole.begin(), whole.end(), ascii_digit) &&
      std::all_of(fraction.begin(), fraction.end(), ascii_digit))
    return std::stoll(std::string(whole));
  const std::string_view digits = s.substr(0, s.size() - 1);
  if (!digits.empty() && digits.size() <= 6 && std::all_of(digits.begin(), digits.end(), ascii_digit)) {
    const std::int64_t n = std::stoll(std::string(digits));
    const std::int64_t at = micros(now) / 1'000'000;
    switch (s.back()) {
      case 's': return at - n;
      case 'm': return at - n * 60;
      case 'h': return at - n * 3600;
      case 'd': return at - n * 86'400;
      case 'w': return at - n * 604'800;
      default: break;
    }
  }
  std::string iso(s);
  if (iso.size() == 10) iso += "T00:00:00Z";
  else if (iso.size() == 19) iso += 'Z';
  if (iso.size() > 10 && iso[10] == ' ') iso[10] = 'T';
  if (const auto t = parse_time(iso)) return micros(*t) / 1'000'000;
  return std::nullopt;
}

/// MISP's filters that ask for nothing we filter by; they change what is shown, or are of modules that are not here.
constexpr std::array kShown = {"returnFormat",
                               "page",
                               "limit",
                               "includeEventUuid",
                               "sgReferenceOnly",
                               "includeContext",
                               "headerless",
                               "includeSightings",
                               "includeDecayScore",
                               "includeCorrelations",
                               "excludeDecayed",
                               "withAttachments",
                               "metadata",
                               "enforceWarninglist",
                               "includeEventTags",
                               "includeProposals",
                               "includeAllTags",
                               "includeWarninglistHits",
                               "includeFullModel",
                               "includeSightingdb",
                               "includeServerCorrelations",
                               "includeGalaxy",
                               "excludeGalaxy",
                               "excludeLocalTags",
                               "requested_attributes",
                               "sort",
                               "direction",
                               "desc",
                               "minimal",
                               "order",
                               "deleted",
                               "decayingModel",
                               "score",
                               "modelOverrides",
                               "requested",
                               "all",
                               "searchall"};

/// Filters that are words, under all the names that MISP and its clients have for them.
constexpr std::pair<std::string_view, Words Search::*> kWordNames[] = {
    {"value", &Search::value},
    {"attribute", &Search::value},
    {"type", &Search::type},
    {"type_attribute", &Search::type},
    {"category", &Search::category},
    {"org", &Search::org},
    {"org_id", &Search::org},
    {"orgc", &Search::org},
    {"orgc_id", &Search::org},
    {"tags", &Search::tags},
    {"tag", &Search::tags},
    {"event_tags", &Search::event_tags},
    {"eventid", &Search::eventid},
    {"event_id", &Search::eventid},
    {"id", &Search::eventid},
    {"uuid", &Search::uuid},
    {"event_uuid", &Search::uuid},
    {"eventinfo", &Search::info},
    {"info", &Search::info},
    {"object_relation", &Search::relation},
    {"object_name", &Search::object_name},
    {"threat_level_id", &Search::threat_level},
    {"threatlevel", &Search::threat_level},
    {"analysis", &Search::analysis},
    {"searchall", &Search::anywhere},
    {"all", &Search::anywhere},
    {"quickFilter", &Search::anywhere},
    {"quickfilter", &Search::anywhere},
};
constexpr std::span kWords(kWordNames);

/// Conditions and what they read: one JSON object bound as :q.
class Conditions {
 public:
  void add(std::string sql) { sql_ += " AND " + sql; }
  const std::string& sql() const { return sql_; }
  void replace(std::string sql) { sql_ = std::move(sql); }
  std::string list(const std::vector<std::string>& values) {
    const std::string name = fmt::format("l{}", lists_.size());
    lists_.push_back(values);
    return fmt::format("(SELECT value FROM json_each(:q, '$.{}'))", name);
  }
  /// Columns that are one of these; % is a wildcard.
  std::string one_of(std::string_view column, const std::vector<std::string>& values) {
    std::vector<std::string> exact, patterns;
    for (const auto& v : values) {
      if (v.find('%') == std::string::npos) {
        exact.push_back(v);
        continue;
      }
      std::string escaped;
      for (const char c : v) {
        if (c == '_' || c == '\\') escaped += '\\';
        escaped += c;
      }
      patterns.push_back(std::move(escaped));
    }
    std::string sql = "(";
    if (!exact.empty()) sql += fmt::format("{} IN {}", column, list(exact));
    if (!patterns.empty())
      sql += fmt::format("{}EXISTS (SELECT 1 FROM {} p WHERE {} LIKE p.value ESCAPE '\\')", exact.empty() ? "" : " OR ",
                         list(patterns), column);
    return sql + ")";
  }
  /// make(values) is the condition that one of these holds.
  template <class F>
  void words(const Words& w, F&& make) {
    if (!w.any.empty()) add(make(w.any));
    for (const auto& each : w.all) add(make(std::vector<std::string>{each}));
    if (!w.none.empty()) add(fmt::format("NOT {}", make(w.none)));
  }
  void range(std::string_view column, const Range& r) {
    if (r.from) add(fmt::format("{} >= {}", column, *r.from));
    if (r.to) add(fmt::format("{} <= {}", column, *r.to));
  }
  std::string json(const Viewer& v) const {
    std::string out;
    JsonWriter w(out);
    w.object().key("v").raw(viewer_json(v));
    for (std::size_t i = 0; i < lists_.size(); ++i) {
      w.key(fmt::format("l{}", i)).array();
      for (const auto& s : lists_[i]) w.value(s);
      w.end();
    }
    w.end();
    return out;
  }

 private:
  std::string sql_;
  std::vector<std::vector<std::string>> lists_;
};

bool exact(const std::vector<std::string>& values) {
  return !values.empty() && std::none_of(values.begin(), values.end(),
                                         [](const std::string& v) { return v.find('%') != std::string::npos; });
}

std::vector<std::string> folded_all(const std::vector<std::string>& values) {
  std::vector<std::string> out;
  out.reserve(values.size());
  for (const auto& v : values) out.push_back(folded(v));
  return out;
}

std::string value_condition(Conditions& c, const std::vector<std::string>& raw) {
  std::vector<std::string> whole, firsts;
  const std::vector<std::string> values = folded_all(raw);
  for (const auto& v : values)
    if (const auto bar = v.find('|'); bar != std::string::npos && v.find('%') == std::string::npos) {
      whole.push_back(v);
      firsts.push_back(v.substr(0, bar));
    }
  if (exact(values)) {
    const std::string all = c.list(values);
    std::string sql = fmt::format(
        "a.id IN (SELECT id FROM misp_attribute WHERE value1 IN {0} UNION SELECT id FROM misp_attribute WHERE value2 "
        "<> '' AND "
        "value2 IN {0}",
        all);
    if (!whole.empty())
      sql += fmt::format(" UNION SELECT id FROM misp_attribute WHERE value1 IN {} AND value1 || '|' || value2 IN {}",
                         c.list(firsts), c.list(whole));
    return sql + ")";
  }
  // The columns hold the beginning of what is long; the whole is in the body, as it was written.
  std::vector<std::string> patterns;
  for (const auto* list : {&values, &raw})
    std::ranges::copy_if(*list, std::back_inserter(patterns), [](const auto& v) { return v.contains('%'); });
  return fmt::format(
      "({} OR (a.value2 <> '' AND {}) OR (a.value2 <> '' AND {}) OR ((length(CAST(a.value1 AS BLOB)) >= {} OR "
      "length(CAST(a.value2 AS BLOB)) >= {}) AND {}))",
      c.one_of("a.value1", values), c.one_of("a.value2", values), c.one_of("a.value1 || '|' || a.value2", values),
      kLongestFolded - 3, kLongestFolded - 3, c.one_of("coalesce(json_extract(a.body, '$.value'), '')", patterns));
}

std::string tags_named(Conditions& c, const std::vector<std::string>& names) {
  return fmt::format("(SELECT g.id FROM misp_tag g WHERE {})", c.one_of("g.name", names));
}

void event_conditions(Conditions& c, const Search& s) {
  c.words(s.org, [&](const std::vector<std::string>& v) {
    return fmt::format("e.orgc IN (SELECT x.id FROM misp_org x WHERE {} OR {} OR {})",
                       c.one_of("x.name COLLATE NOCASE", v), c.one_of("x.uuid", v), c.one_of("CAST(x.id AS TEXT)", v));
  });
  c.words(s.info, [&](const std::vector<std::string>& v) { return c.one_of("e.info", v); });
  c.words(s.threat_level,
          [&](const std::vector<std::string>& v) { return c.one_of("CAST(e.threat_level AS TEXT)", v); });
  c.words(s.analysis, [&](const std::vector<std::string>& v) { return c.one_of("CAST(e.analysis AS TEXT)", v); });
  c.words(s.event_tags, [&](const std::vector<std::string>& v) {
    return fmt::format("e.id IN (SELECT t.event FROM misp_tagged t WHERE t.attribute = 0 AND t.tag IN {})",
                       tags_named(c, v));
  });
  if (s.published) c.add(*s.published ? "e.published = 1" : "e.published = 0");
  c.range("e.publish_timestamp", s.publish_timestamp);
  c.range("e.timestamp", s.event_timestamp);
  if (!s.date_from.empty()) c.add(fmt::format("e.date >= {}", c.list({s.date_from})));
  if (!s.date_to.empty()) c.add(fmt::format("e.date <= {}", c.list({s.date_to})));
}

/// True: an index leads to the rows.
bool attribute_conditions(Conditions& c, const Search& s) {
  c.words(s.value, [&](const std::vector<std::string>& v) { return value_condition(c, v); });
  c.words(s.type, [&](const std::vector<std::string>& v) { return c.one_of("a.type", v); });
  c.words(s.category, [&](const std::vector<std::string>& v) { return c.one_of("a.category COLLATE NOCASE", v); });
  c.words(s.relation,
          [&](const std::vector<std::string>& v) { return c.one_of("json_extract(a.body, '$.object_relation')", v); });
  if (s.to_ids) c.add(*s.to_ids ? "a.to_ids = 1" : "a.to_ids = 0");
  if (s.scope != Scope::events) c.range("a.timestamp", s.timestamp);
  return exact(s.value.any);
}

/// What rows are ordered by; of events "Event.date" or "date", of attributes and objects also what their event says.
Result<std::string> order_of(const Search& s, std::string_view column) {
  if (s.sort.empty()) return std::string(column);
  const std::string_view of = std::string_view(s.sort).substr(0, s.sort.find('.'));
  const std::string_view by = std::string_view(s.sort).substr(s.sort.find_last_of('.') + 1);
  const auto among = [&](std::string_view alias,
                         std::initializer_list<std::pair<std::string_view, std::string_view>> names) {
    for (const auto& [name, is] : names)
      if (by == name) return fmt::format("{}.{}", alias, is);
    return std::string();
  };
  std::string found;
  if (s.scope == Scope::events || (of.size() < s.sort.size() && iequals(of, "Event")))
    found = among("e", {{"id", "id"},
                        {"timestamp", "timestamp"},
                        {"publish_timestamp", "publish_timestamp"},
                        {"date", "date"},
                        {"info", "info"},
                        {"attribute_count", "attribute_count"},
                        {"published", "published"},
                        {"analysis", "analysis"},
                        {"threat_level_id", "threat_level"},
                        {"uuid", "uuid"}});
  else if (s.scope == Scope::attributes)
    found = among("a", {{"id", "id"},
                        {"timestamp", "timestamp"},
                        {"type", "type"},
                        {"category", "category"},
                        {"value", "value1"},
                        {"value1", "value1"},
                        {"to_ids", "to_ids"},
                        {"event_id", "event"},
                        {"uuid", "uuid"}});
  else
    found = among(
        "o", {{"id", "id"}, {"timestamp", "timestamp"}, {"name", "name"}, {"event_id", "event"}, {"uuid", "uuid"}});
  if (found.empty())
    return fail(Code::bad_input, fmt::format("nothing here is sorted by \"{}\"", s.sort.substr(0, 60)));
  return found;
}

bool has_attribute_conditions(const Search& s) {
  return !s.value.empty() || !s.type.empty() || !s.category.empty() || !s.relation.empty() || s.to_ids;
}

}  // namespace

Words words_of(net::JsonValue v) {
  Words w;
  if (v.is_object()) {
    for (const net::JsonValue m : v) {
      const std::string key = to_lower(m.key());
      if (key == "or") add_words(w, m, w.any);
      else if (key == "and") add_words(w, m, w.all);
      else if (key == "not") add_words(w, m, w.none);
    }
  } else {
    add_words(w, v, w.any);
  }
  return w;
}

Result<Range> range_of(net::JsonValue v, Instant now) {
  Range r;
  if (v.is_object()) return fail(Code::bad_input, "a time is seconds, 5d, 10h or 2026-05-01, or a list of two");
  const auto one = [&](net::JsonValue x, std::optional<std::int64_t>& to) -> Result<void> {
    const std::string s = scalar(x);
    if (s.empty() || s == "0") return {};
    to = moment(s, now);
    if (!to)
      return fail(Code::bad_input, fmt::format("\"{}\" is no time: seconds, 5d, 10h or 2026-05-01", s.substr(0, 60)));
    return {};
  };
  if (v.is_array()) {
    if (v.size() > 2) return fail(Code::bad_input, "a time has a beginning and an end");
    BAVN_CHECK(one(v.at(0), r.from));
    BAVN_CHECK(one(v.at(1), r.to));
    if (r.from && r.to && *r.from > *r.to) std::swap(r.from, r.to);
  } else {
    BAVN_CHECK(one(v, r.from));
  }
  return r;
}

Result<Search> search_from(net::JsonValue body, Scope scope, Instant now) {
  if (body["request"].is_object()) body = body["request"];
  Search s;
  s.scope = scope;
  if (!body) return s;
  if (!body.is_object()) return fail(Code::bad_input, "a search is a JSON object");
  for (const net::JsonValue m : body) {
    const std::string_view k = m.key();
    if (m.is_null() || (m.text() && m.text()->empty()) || (m.is_array() && m.size() == 0)) continue;
    if (const auto words = std::find_if(kWords.begin(), kWords.end(), [&](const auto& w) { return w.first == k; });
        words != kWords.end()) {
      Words& w = s.*words->second;
      w = words_of(m);
      // Read as nothing, a filter would give everything.
      bool odd = false;
      if (m.is_object())
        for (const net::JsonValue each : m) {
          const std::string key = to_lower(each.key());
          odd = odd || (key != "and" && key != "or" && key != "not") || each.is_object();
        }
      if (odd)
        return fail(Code::bad_input,
                    fmt::format("{} is a value, a list, or an object of AND, OR and NOT with these", k),
                    std::string(k));
      if (w.any.size() + w.all.size() + w.none.size() > kMostWords)
        return fail(Code::bad_input, fmt::format("{} has more than {} values", k, kMostWords));
    } else if (k == "to_ids") {
      if (const auto n = scalar(m); n == "1" || n == "0" || m.boolean()) s.to_ids = truth(m);
      else if (n == "exclude") s.to_ids = false;
    } else if (k == "published") {
      const std::string n = scalar(m);
      if (m.is_array() || n == "2") continue;  // both
      s.published = truth(m);
    } else if (k == "timestamp") {
      BAVN_TRY(s.timestamp, range_of(m, now));
    } else if (k == "attribute_timestamp") {
      BAVN_TRY(s.timestamp, range_of(m, now));
    } else if (k == "publish_timestamp" || k == "last") {
      BAVN_TRY(s.publish_timestamp, range_of(m, now));
    } else if (k == "event_timestamp") {
      BAVN_TRY(s.event_timestamp, range_of(m, now));
    } else if (k == "from" || k == "to" || k == "datefrom" || k == "dateuntil" || k == "date") {
      BAVN_TRY(const auto r, range_of(m, now));
      if (r.from)
        (k == "to" || k == "dateuntil" ? s.date_to : s.date_from) =
            format_time(from_micros(*r.from * 1'000'000)).substr(0, 10);
      if (r.to) s.date_to = format_time(from_micros(*r.to * 1'000'000)).substr(0, 10);
    } else if (k == "deleted") {
      const bool list = m.is_array();
      const std::string n = scalar(m);
      s.deleted = list                       ? Deleted::with
                  : n == "only"              ? Deleted::only
                  : truth(m).value_or(false) ? Deleted::only
                                             : Deleted::no;
      if (list && m.size() == 1) s.deleted = truth(m.at(0)).value_or(false) ? Deleted::only : Deleted::no;
    } else if (k == "limit") {
      const auto n = number(m);
      if (!n) return fail(Code::bad_input, "limit is a number", "limit");
      s.limit = std::clamp<std::int64_t>(*n, 0, static_cast<std::int64_t>(kMostFound));
    } else if (k == "page") {
      const auto n = number(m);
      if (!n) return fail(Code::bad_input, "page is a number", "page");
      s.page = std::clamp<std::int64_t>(*n, 1, 1'000'000);
    } else if (k == "returnFormat") {
      s.format = to_lower(scalar(m));
    } else if (k == "enforceWarninglist") {
      s.enforce_warninglist = truth(m).value_or(false);
    } else if (k == "includeEventTags") {
      s.event_tags_too = truth(m).value_or(false);
    } else if (k == "includeContext") {
      s.context = truth(m).value_or(false);
    } else if (k == "withAttachments") {
      s.attachments = truth(m).value_or(false);
    } else if (k == "metadata") {
      s.metadata = truth(m).value_or(false);
    } else if (k == "includeSightings") {
      s.sightings = truth(m).value_or(false);
    } else if (k == "includeEventUuid") {
      s.event_uuid = truth(m).value_or(false);
    } else if (k == "headerless") {
      s.headerless = truth(m).value_or(false);
    } else if (k == "requested_attributes") {
      for (const net::JsonValue each : m) s.columns.emplace_back(scalar(each));
      if (!m.is_array())
        for (const std::string_view each : split(scalar(m), ',')) s.columns.emplace_back(trim(each));
    } else if (k == "minimal") {
      s.minimal = truth(m).value_or(false);
    } else if (k == "sort" || k == "order") {
      net::JsonValue by = m;  // "Attribute.timestamp desc", in a list, or {"Attribute.timestamp": "desc"}
      if (by.is_array() && by.size() == 1) by = by.at(0);
      if (by.is_object() && by.size() == 1) {
        for (const net::JsonValue only : by) s.sort = fmt::format("{} {}", only.key(), only.text_or(""));
      } else {
        s.sort = scalar(by);
      }
      if (s.sort.empty() || s.sort.contains(','))
        return fail(Code::bad_input, "rows are sorted by one name", std::string(k));
      if (iequals(s.sort.substr(s.sort.find_last_of(' ') + 1), "desc")) s.descending = true;
      s.sort = s.sort.substr(0, s.sort.find(' '));
    } else if (k == "direction") {
      s.descending = iequals(scalar(m), "desc");
    } else if (k == "desc") {
      s.descending = truth(m).value_or(false);
    } else if (std::find(kShown.begin(), kShown.end(), k) == kShown.end()) {
      return fail(Code::bad_input, fmt::format("this server does not know the filter \"{}\"", k.substr(0, 60)),
                  std::string(k));
    }
  }
  return s;
}

Result<std::vector<std::int64_t>> found(Book& book, const Viewer& viewer, const Search& s) {
  Conditions c;
  c.add(event_visible(viewer));
  bool leads = false;  // an index does
  std::string from, column;
  event_conditions(c, s);
  const auto ids_of = [&](std::string_view col) {
    c.words(s.eventid, [&](const std::vector<std::string>& v) {
      const std::string list = c.list(v);
      return fmt::format(
          "{} IN (SELECT x.id FROM misp_event x WHERE x.id IN (SELECT CAST(y.value AS INTEGER) FROM {} y) OR "
          "x.uuid IN {})",
          col, list, list);
    });
    leads = leads || !s.eventid.any.empty();
  };
  if (s.scope == Scope::attributes) {
    from = "misp_attribute a JOIN misp_event e ON e.id = a.event";
    column = "a.id";
    c.add(part_visible(viewer, "a", true));
    if (s.deleted != Deleted::with) c.add(s.deleted == Deleted::only ? "a.deleted = 1" : "a.deleted = 0");
    leads = attribute_conditions(c, s);
    ids_of("a.event");
    c.words(s.uuid, [&](const std::vector<std::string>& v) {
      const std::string list = c.list(v);
      return fmt::format(
          "a.id IN (SELECT id FROM misp_attribute WHERE uuid IN {0} UNION SELECT y.id FROM misp_attribute y JOIN "
          "misp_event x ON x.id = y.event WHERE x.uuid IN {0})",
          list);
    });
    leads = leads || !s.uuid.any.empty();
    c.words(s.tags, [&](const std::vector<std::string>& v) {
      return fmt::format(
          "EXISTS (SELECT 1 FROM misp_tagged t WHERE t.event = a.event AND t.attribute IN (0, a.id) AND t.tag IN {})",
          tags_named(c, v));
    });
    c.words(s.object_name, [&](const std::vector<std::string>& v) {
      return fmt::format("a.object IN (SELECT o.id FROM misp_object o WHERE o.event = a.event AND {})",
                         c.one_of("o.name", v));
    });
    c.words(s.anywhere, [&](const std::vector<std::string>& v) {
      return fmt::format("({} OR {})", value_condition(c, v), c.one_of("json_extract(a.body, '$.comment')", v));
    });
  } else if (s.scope == Scope::objects) {
    from = "misp_object o JOIN misp_event e ON e.id = o.event";
    column = "o.id";
    c.add(part_visible(viewer, "o", false));
    if (s.deleted != Deleted::with) c.add(s.deleted == Deleted::only ? "o.deleted = 1" : "o.deleted = 0");
    c.words(s.object_name, [&](const std::vector<std::string>& v) { return c.one_of("o.name", v); });
    ids_of("o.event");
    c.words(s.uuid, [&](const std::vector<std::string>& v) { return c.one_of("o.uuid", v); });
    c.range("o.timestamp", s.timestamp);
    if (has_attribute_conditions(s) || !s.tags.empty() || !s.anywhere.empty()) {
      const std::string before = c.sql();
      Search parts = s;
      parts.timestamp = {};
      leads = attribute_conditions(c, parts) || leads;
      c.words(s.anywhere, [&](const std::vector<std::string>& v) { return value_condition(c, v); });
      c.words(s.tags, [&](const std::vector<std::string>& v) {
        return fmt::format(
            "EXISTS (SELECT 1 FROM misp_tagged t WHERE t.event = a.event AND t.attribute IN (0, a.id) AND t.tag IN {})",
            tags_named(c, v));
      });
      const std::string of_attributes = c.sql().substr(before.size());
      c.replace(
          before +
          fmt::format(" AND o.id IN (SELECT a.object FROM misp_attribute a WHERE a.object <> 0 AND a.deleted = 0{})",
                      of_attributes));
    }
  } else {
    from = "misp_event e";
    column = "e.id";
    ids_of("e.id");
    c.range("e.timestamp", s.timestamp);
    c.words(s.uuid, [&](const std::vector<std::string>& v) {
      const std::string list = c.list(v);
      return fmt::format(
          "e.id IN (SELECT id FROM misp_event WHERE uuid IN {0} UNION SELECT event FROM misp_attribute WHERE uuid IN "
          "{0} UNION SELECT event FROM misp_object WHERE uuid IN {0})",
          list);
    });
    leads = !s.uuid.any.empty() || !s.eventid.any.empty();
    Words wanted = s.tags;
    wanted.none.clear();
    c.words(wanted, [&](const std::vector<std::string>& v) {
      return fmt::format("e.id IN (SELECT t.event FROM misp_tagged t WHERE t.tag IN {})", tags_named(c, v));
    });
    // An event is not given for a tag of its own; of one with such an attribute that attribute is not shown.
    if (!s.tags.none.empty())
      c.add(fmt::format("e.id NOT IN (SELECT t.event FROM misp_tagged t WHERE t.attribute = 0 AND t.tag IN {})",
                        tags_named(c, s.tags.none)));
    c.words(s.object_name, [&](const std::vector<std::string>& v) {
      return fmt::format("EXISTS (SELECT 1 FROM misp_object o WHERE o.event = e.id AND {})", c.one_of("o.name", v));
    });
    c.words(s.anywhere, [&](const std::vector<std::string>& v) {
      return fmt::format(
          "({} OR e.id IN (SELECT a.event FROM misp_attribute a WHERE {}) OR e.id IN (SELECT t.event FROM misp_tagged "
          "t WHERE t.tag IN {}))",
          c.one_of("e.info", v), value_condition(c, v), tags_named(c, v));
    });
    if (has_attribute_conditions(s)) {
      const std::string before = c.sql();
      const bool exact_value = attribute_conditions(c, s);
      const std::string of_attributes = c.sql().substr(before.size());
      const std::string shown = part_visible(viewer, "a", true);
      c.replace(
          before +
          (exact_value
               ? fmt::format(" AND e.id IN (SELECT a.event FROM misp_attribute a WHERE a.deleted = 0{})", of_attributes)
               : fmt::format(
                     " AND EXISTS (SELECT 1 FROM misp_attribute a WHERE a.event = e.id AND a.deleted = 0 AND {}{})",
                     shown, of_attributes)));
      leads = leads || exact_value;
    }
  }
  const std::string q = c.json(viewer);
  const std::size_t skip = s.limit > 0 ? static_cast<std::size_t>((s.page - 1) * s.limit) : 0;
  const std::size_t want = s.limit > 0 ? skip + static_cast<std::size_t>(s.limit) : kMostFound + 1;
  std::vector<std::int64_t> ids;
  const bool sorted = !s.sort.empty();
  BAVN_TRY(const std::string order, order_of(s, column));
  if (leads || (sorted && s.scope == Scope::events)) {
    BAVN_TRY(ids, book.state().read([&](store::Reader& r) {
      return r.all<std::int64_t>(fmt::format("SELECT {0} FROM {1} WHERE 1{2} ORDER BY {3}{4}, {0}{4} LIMIT {5}", column,
                                             from, c.sql(), "+" + order, s.descending ? " DESC" : "", want),
                                 {{"q", q}});
    }));
  } else {
    const std::string table = s.scope == Scope::events    ? "misp_event"
                              : s.scope == Scope::objects ? "misp_object"
                                                          : "misp_attribute";
    const std::int64_t window = s.scope == Scope::attributes ? kWindow : kEventWindow;
    BAVN_TRY(const auto last, book.state().read([&](store::Reader& r) {
      return r.number(fmt::format("SELECT COALESCE(MAX(id), 0) FROM {}", table));
    }));
    const std::string sql =
        fmt::format("SELECT {0} FROM {1} WHERE {0} > :after AND {0} <= :upto{2} ORDER BY {0} LIMIT {3}", column, from,
                    c.sql(), sorted ? kMostFound + 1 : want);
    const Duration end = book.runtime().steady() + kLongest;
    // The first of all in an order of its own are known when all are.
    const std::size_t enough = sorted ? kMostFound + 1 : want;
    for (std::int64_t after = 0; after < last && ids.size() < enough; after += window) {
      BAVN_TRY(const auto some, book.state().read([&](store::Reader& r) {
        return r.all<std::int64_t>(sql, {{"after", after}, {"upto", after + window}, {"q", q}});
      }));
      ids.insert(ids.end(), some.begin(), some.end());
      if (book.runtime().steady() > end)
        return fail(Code::unavailable, "the search took longer than a minute; name a value, an event or a time");
    }
    if (sorted) {
      if (ids.size() > kMostFound)
        return fail(Code::bad_input, fmt::format("more than {} match; name a value, an event or a time", kMostFound));
      std::string list;
      JsonWriter w(list);
      w.array();
      for (const std::int64_t id : ids) w.value(id);
      w.end();
      BAVN_TRY(ids, book.state().read([&](store::Reader& r) {
        return r.all<std::int64_t>(
            fmt::format("SELECT {0} FROM {1} WHERE {0} IN (SELECT value FROM json_each(:q)) ORDER BY {2}{3}, {0}{3}",
                        column, from, order, s.descending ? " DESC" : ""),
            {{"q", list}});
      }));
    } else if (s.descending) {
      std::reverse(ids.begin(), ids.end());
    }
  }
  if (s.limit == 0 && ids.size() > kMostFound)
    return fail(Code::bad_input, fmt::format("more than {} match; ask with limit and page", kMostFound));
  if (ids.size() > want) ids.resize(want);
  ids.erase(ids.begin(), ids.begin() + static_cast<std::ptrdiff_t>(std::min(skip, ids.size())));
  return ids;
}

}  // namespace bavn::exchange::misp
