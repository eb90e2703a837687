#include "match/sigma/load.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <cmath>
#include <filesystem>
#include <fstream>
#include <optional>
#include <unordered_map>

#include "base/hash.hpp"
#include "base/text.hpp"
#include "match/sigma/cache.hpp"
#include "match/sigma/condition.hpp"
#include "match/sigma/detection.hpp"
#include "match/sigma/pattern.hpp"
#include "match/sigma/yaml.hpp"

namespace bavn::match::sigma {

namespace {

namespace fs = std::filesystem;

constexpr std::size_t kMaxFiles = 200'000;
constexpr std::chrono::seconds kMaxTimespan{366LL * 86'400};
constexpr std::size_t kMaxReferences = 1'000;  // rules in one correlation

struct Source {
  std::string name;
  std::string text;
};

// A filter before it is applied; its condition speaks of its own predicates.
struct FilterDraft {
  Filter filter;
  Node condition;
  std::vector<Predicate> predicates;
  bool any = false;
  std::vector<std::string> rules;
};

struct CorrelationDraft {
  Correlation correlation;
  std::vector<std::pair<std::string, std::vector<std::pair<std::string, std::string>>>>
      aliases;  // name -> (rule, field)
  std::string expression;
  bool refused = false;
};

std::uint32_t line_of(const Error& e, std::uint32_t otherwise) {
  std::uint32_t line = 0;
  const auto [end, error] = std::from_chars(e.where.data(), e.where.data() + e.where.size(), line);
  return error == std::errc() && end == e.where.data() + e.where.size() && line != 0 ? line : otherwise;
}

std::string text_of(const Yaml* y) {
  return y != nullptr && y->is_scalar() ? y->text : std::string();
}

std::vector<std::string> texts_of(const Yaml* y) {
  std::vector<std::string> out;
  if (y == nullptr) return out;
  if (y->is_scalar()) out.push_back(y->text);
  for (const auto& item : y->items)
    if (y->is_list() && item.is_scalar()) out.push_back(item.text);
  return out;
}

std::optional<Level> level_of(std::string_view s) {
  for (const auto l : {Level::informational, Level::low, Level::medium, Level::high, Level::critical})
    if (iequals(to_string(l), s)) return l;
  return std::nullopt;
}

std::string key_of(const Predicate& p) {
  std::string k;
  k.reserve(p.field.size() + p.value.size() + p.other_field.size() + 64);
  const auto raw = [&](const auto& v) { k.append(reinterpret_cast<const char*>(&v), sizeof v); };
  raw(p.op);
  raw(p.cased);
  raw(p.relation);
  raw(p.part);
  raw(p.compare);
  raw(p.number);
  raw(p.prefix_bits);
  raw(p.regex_flags);
  k.append(reinterpret_cast<const char*>(p.network.data()), p.network.size());
  raw(p.field.size());
  k += p.field;
  raw(p.other_field.size());
  k += p.other_field;
  if (p.op != Op::cidr) k += p.value;  // the same network may be written in many ways
  return k;
}

Result<std::chrono::seconds> parse_timespan(std::string_view s) {
  std::int64_t n = 0;
  const auto [end, error] = std::from_chars(s.data(), s.data() + s.size(), n);
  const auto unit = std::string_view(end, static_cast<std::size_t>(s.data() + s.size() - end));
  const std::int64_t seconds = unit == "s"   ? 1
                               : unit == "m" ? 60
                               : unit == "h" ? 3'600
                               : unit == "d" ? 86'400
                               : unit == "w" ? 604'800
                                             : 0;
  if (error != std::errc() || n <= 0 || seconds == 0)
    return fail(Code::bad_input,
                fmt::format("the timespan '{}' is not understood: write a whole number and s, m, h, d or w (90m)", s));
  if (n > kMaxTimespan.count() / seconds)
    return fail(Code::bad_input, fmt::format("the timespan '{}' is longer than 366 days", s));
  return std::chrono::seconds(n * seconds);
}

std::optional<CorrelationType> correlation_type(std::string_view s) {
  for (const auto t : {CorrelationType::event_count, CorrelationType::value_count, CorrelationType::temporal,
                       CorrelationType::temporal_ordered, CorrelationType::value_sum, CorrelationType::value_avg,
                       CorrelationType::value_percentile})
    if (to_string(t) == s) return t;
  return std::nullopt;
}

std::optional<Compare> compare_of(std::string_view s) {
  for (const auto c : {Compare::greater, Compare::greater_equal, Compare::less, Compare::less_equal, Compare::equal,
                       Compare::not_equal})
    if (to_string(c) == s) return c;
  return std::nullopt;
}

bool truthy(const Yaml* y) {
  return y != nullptr && y->is_scalar() && (iequals(y->text, "true") || iequals(y->text, "yes"));
}

// The reading of one set of sources, document by document, then what ties them together.
class Loader {
 public:
  explicit Loader(const Placeholders& placeholders) : placeholders_(placeholders) {}

  void read(const Source& source) {
    ++set_.files;
    auto documents = read_yaml(source.text);
    if (!documents) {
      refuse(source.name, 1, nullptr, documents.error().what);
      return;
    }
    for (const auto& d : *documents) {
      if (!d.root || d.root->find("action") == nullptr) continue;
      // Each document of such a collection is only a part of a rule.
      Meta meta;
      for (const auto& part : *documents)
        if (part.root && meta.title.empty()) meta = read_meta(source.name, d.line, *part.root);
      return refuse(source.name, d.line, &meta,
                    "'action' documents (global, repeat, reset) are no part of Sigma 2: write each rule out in full");
    }
    for (const auto& d : *documents) {
      if (!d.root) refuse(source.name, line_of(d.root.error(), d.line), nullptr, d.root.error().what);
      else document(source.name, d.line, *d.root);
    }
  }

  void unreadable(const std::string& file, std::string why) {
    ++set_.files;
    refuse(file, 0, nullptr, std::move(why));
  }

  RuleSet finish() {
    for (std::size_t i = 0; i < set_.rules.size(); ++i) remember(set_.rules[i].meta, false, i);
    for (std::size_t i = 0; i < drafts_.size(); ++i) remember(drafts_[i].correlation.meta, true, i);
    apply_filters();
    resolve_correlations();
    return std::move(set_);
  }

 private:
  void refuse(const std::string& file, std::uint32_t line, const Meta* meta, std::string why) {
    set_.refused.push_back(
        Refused{file, line, meta != nullptr ? meta->id : "", meta != nullptr ? meta->title : "", std::move(why)});
  }
  void warn(const Meta& m, std::string what) { set_.warnings.push_back(Warning{m.file, m.line, std::move(what)}); }

  void document(const std::string& file, std::uint32_t line, const Yaml& y) {
    if (!y.is_map())
      return refuse(file, line, nullptr,
                    "this is no Sigma document: expected a map with 'title', 'logsource' and 'detection'");
    Meta meta = read_meta(file, line, y);
    Result<void> done;
    if (y.find("correlation") != nullptr) done = correlation(meta, y);
    else if (y.find("filter") != nullptr) done = filter(meta, y);
    else if (y.find("detection") != nullptr) done = rule(meta, y);
    else
      done =
          fail(Code::bad_input, "this is no Sigma document: it has neither 'detection' nor 'correlation' nor 'filter'");
    if (!done) refuse(file, line_of(done.error(), line), &meta, done.error().what);
  }

  Meta read_meta(const std::string& file, std::uint32_t line, const Yaml& y) {
    Meta m;
    m.file = file;
    m.line = line;
    m.id = text_of(y.find("id"));
    m.name = text_of(y.find("name"));
    m.title = text_of(y.find("title"));
    m.status = text_of(y.find("status"));
    m.description = text_of(y.find("description"));
    m.author = text_of(y.find("author"));
    m.date = text_of(y.find("date"));
    m.modified = text_of(y.find("modified"));
    m.taxonomy = text_of(y.find("taxonomy"));
    m.license = text_of(y.find("license"));
    m.tags = texts_of(y.find("tags"));
    m.references = texts_of(y.find("references"));
    m.false_positives = texts_of(y.find("falsepositives"));
    m.fields = texts_of(y.find("fields"));
    return m;
  }

  // Oddities that do not stop a rule; only said of documents that load.
  void check_meta(Meta& m, const Yaml& y) {
    if (m.title.empty()) {
      warn(m, "has no title: add one, it is what people will read");
      m.title = !m.name.empty() ? m.name : !m.id.empty() ? m.id : "(no title)";
    }
    if (const auto level = text_of(y.find("level")); !level.empty()) {
      if (const auto known = level_of(level)) m.level = *known;
      else warn(m, fmt::format("the level '{}' is unknown: use informational, low, medium, high or critical", level));
    }
    if (m.status == "unsupported" || m.status == "deprecated")
      warn(m, fmt::format("its author marked it '{}'", m.status));
  }

  Result<LogSource> read_logsource(const Yaml& y) {
    const Yaml* l = y.find("logsource");
    if (l == nullptr || !l->is_map())
      return fail(Code::bad_input, "has no log source: add 'logsource' with category, product or service",
                  std::to_string(l != nullptr ? l->line : 0));
    LogSource out{to_lower(text_of(l->find("category"))), to_lower(text_of(l->find("product"))),
                  to_lower(text_of(l->find("service"))), text_of(l->find("definition"))};
    if (out.category.empty() && out.product.empty() && out.service.empty())
      return fail(Code::bad_input, "the log source says nothing: give a category, product or service",
                  std::to_string(l->line));
    return out;
  }

  // Two documents with one id: the first stays.
  Result<void> claim_id(const Meta& m) {
    if (m.id.empty()) return {};
    const auto [it, fresh] = ids_.emplace(m.id, fmt::format("{}:{}", m.file, m.line));
    if (fresh) return {};
    return fail(Code::conflict,
                fmt::format("the id {} is already used at {}: give this rule its own, or remove one of the two", m.id,
                            it->second));
  }

  struct Compiled {
    Node condition;
    std::vector<Predicate> predicates;
    std::vector<std::string> remarks;
  };

  Result<Compiled> compile(const Yaml& section, const std::vector<std::string_view>& skip) {
    if (!section.is_map())
      return fail(Code::bad_input, "the detection is no map of selections", std::to_string(section.line));
    const Yaml* condition = section.find("condition");
    if (condition == nullptr || condition->is_null())
      return fail(Code::bad_input, "there is no condition: add one, for example 'condition: selection'",
                  std::to_string(section.line));
    const auto conditions = texts_of(condition);
    if (conditions.empty() || (condition->is_list() && conditions.size() != condition->items.size()) ||
        condition->is_map())
      return fail(Code::bad_input, "the condition is neither a text nor a list of texts",
                  std::to_string(condition->line));
    // The old aggregation explains itself better than the selections it needed.
    for (const auto& c : conditions)
      if (c.find('|') != std::string::npos) BAVN_CHECK(located(parse_condition(c, {}, {}), condition->line));
    if (const Yaml* timeframe = section.find("timeframe"); timeframe != nullptr)
      return fail(
          Code::bad_input,
          "'timeframe' belongs to the old aggregation, which Sigma gave up: write a correlation rule with 'timespan'",
          std::to_string(timeframe->line));
    BAVN_TRY(Selections s, compile_selections(section, skip, placeholders_, regexes_));
    std::vector<Node> ways;
    std::vector<bool> used(s.names.size(), false), here;
    for (const auto& c : conditions) {
      auto n = parse_condition(c, s.names, s.nodes, &here);
      if (!n) return fail(n.error().code, n.error().what, std::to_string(condition->line));
      for (std::size_t i = 0; i < used.size(); ++i) used[i] = used[i] || here[i];
      ways.push_back(*std::move(n));
    }
    for (std::size_t i = 0; i < used.size(); ++i)
      if (!used[i] && !s.names[i].starts_with('_'))
        s.remarks.push_back(fmt::format("the condition does not use the selection '{}'", s.names[i]));
    return Compiled{join(Node::Kind::any_of, std::move(ways)), std::move(s.predicates), std::move(s.remarks)};
  }

  static Result<void> located(Result<Node> n, std::uint32_t line) {
    if (n) return {};
    return fail(n.error().code, n.error().what, std::to_string(line));
  }

  // Replaces ids of `from` by ids of the set.
  void intern(Node& n, std::vector<Predicate>& from) {
    std::vector<PredicateId> id(from.size());
    std::vector<bool> known(from.size(), false);
    const auto walk = [&](auto&& self, Node& node) -> void {
      if (node.kind != Node::Kind::leaf) {
        for (auto& c : node.children) self(self, c);
        return;
      }
      const PredicateId local = node.predicate;
      if (!known[local]) {
        known[local] = true;
        const auto [it, fresh] =
            interned_.emplace(key_of(from[local]), static_cast<PredicateId>(set_.predicates.size()));
        if (fresh) set_.predicates.push_back(from[local]);
        id[local] = it->second;
      }
      node.predicate = id[local];
    };
    walk(walk, n);
  }

  Result<void> rule(Meta meta, const Yaml& y) {
    BAVN_TRY(LogSource logsource, read_logsource(y));
    BAVN_TRY(Compiled c, compile(*y.find("detection"), {"condition", "timeframe"}));
    BAVN_CHECK(claim_id(meta));
    check_meta(meta, y);
    for (auto& r : c.remarks) warn(meta, std::move(r));
    intern(c.condition, c.predicates);
    Rule out;
    out.meta = std::move(meta);
    out.logsource = std::move(logsource);
    out.condition = normalised(std::move(c.condition));
    set_.rules.push_back(std::move(out));
    return {};
  }

  Result<void> filter(Meta meta, const Yaml& y) {
    BAVN_TRY(LogSource logsource, read_logsource(y));
    const Yaml& section = *y.find("filter");
    if (!section.is_map()) return fail(Code::bad_input, "the filter is no map", std::to_string(section.line));
    FilterDraft draft;
    const Yaml* rules = section.find("rules");
    if (rules == nullptr || rules->is_map() || rules->is_null())
      return fail(Code::bad_input,
                  "the filter does not say for which rules: add 'rules' with ids or names, or 'rules: any'",
                  std::to_string(section.line));
    draft.rules = texts_of(rules);
    draft.any = draft.rules.empty() || (rules->is_scalar() && iequals(rules->text, "any"));
    if (const Yaml* condition = section.find("condition");
        condition != nullptr && !condition->is_scalar() && !condition->is_null())
      return fail(Code::bad_input, "the condition of a filter is one text", std::to_string(condition->line));
    BAVN_TRY(Compiled c, compile(section, {"condition", "rules"}));
    BAVN_CHECK(claim_id(meta));
    check_meta(meta, y);
    for (auto& r : c.remarks) warn(meta, std::move(r));
    if (!has_negation(c.condition))
      warn(meta,
           "this filter lets only events through that its selections fit, and hides the rest; to hide what they fit, "
           "write "
           "'condition: not selection'");
    draft.filter.meta = std::move(meta);
    draft.filter.logsource = std::move(logsource);
    draft.condition = std::move(c.condition);
    draft.predicates = std::move(c.predicates);
    filters_.push_back(std::move(draft));
    return {};
  }

  static bool has_negation(const Node& n) {
    return n.kind == Node::Kind::negate || std::any_of(n.children.begin(), n.children.end(), has_negation);
  }

  static bool covers(const LogSource& wide, const LogSource& narrow) {
    return (wide.category.empty() || wide.category == narrow.category) &&
           (wide.product.empty() || wide.product == narrow.product) &&
           (wide.service.empty() || wide.service == narrow.service);
  }

  void apply_filters() {
    for (auto& draft : filters_) {
      std::vector<std::uint32_t> targets;
      if (draft.any) {
        for (std::uint32_t i = 0; i < set_.rules.size(); ++i) targets.push_back(i);
      } else {
        for (const auto& wanted : draft.rules) {
          bool found = false;
          const auto [from, to] = by_key_.equal_range(wanted);
          for (auto it = from; it != to; ++it) {
            if (it->second.first) continue;  // a correlation
            found = true;
            targets.push_back(static_cast<std::uint32_t>(it->second.second));
          }
          if (!found)
            warn(draft.filter.meta, fmt::format("the filter names the rule '{}', which is not loaded", wanted));
        }
        std::sort(targets.begin(), targets.end());
        targets.erase(std::unique(targets.begin(), targets.end()), targets.end());
      }
      intern(draft.condition, draft.predicates);
      draft.condition = normalised(std::move(draft.condition));
      for (const auto i : targets) {
        Rule& r = set_.rules[i];
        auto& applied = draft.filter.applied_to;
        if (!covers(draft.filter.logsource, r.logsource)) {
          if (!draft.any)
            warn(draft.filter.meta,
                 fmt::format("the filter is not applied to '{}': its log source is another one", r.meta.title));
          continue;
        }
        std::vector<Node> both;
        both.push_back(std::move(r.condition));
        both.push_back(draft.condition);
        r.condition = normalised(join(Node::Kind::all_of, std::move(both)));
        applied.push_back(i);
      }
      if (draft.any && draft.filter.applied_to.empty())
        warn(draft.filter.meta, "the filter is applied to no rule: no rule has its log source");
      set_.filters.push_back(std::move(draft.filter));
    }
  }

  Result<void> correlation(Meta meta, const Yaml& y) {
    const Yaml& section = *y.find("correlation");
    const auto wrong = [&](const Yaml* at, std::string what) {
      return fail(Code::bad_input, std::move(what), std::to_string(at != nullptr ? at->line : section.line));
    };
    if (!section.is_map()) return wrong(nullptr, "the correlation is no map");
    static const std::vector<std::string_view> kKeys = {"type",     "rules",     "aliases", "group-by",
                                                        "timespan", "condition", "generate"};
    for (std::size_t i = 0; i < section.keys.size(); ++i) {
      if (std::find(kKeys.begin(), kKeys.end(), section.keys[i]) != kKeys.end()) continue;
      const auto near = nearest(section.keys[i], kKeys);
      return wrong(&section.items[i],
                   fmt::format("a correlation has no '{}'{}", section.keys[i],
                               near.empty() ? std::string() : fmt::format(" (did you mean '{}'?)", near)));
    }
    CorrelationDraft draft;
    Correlation& c = draft.correlation;
    const Yaml* type = section.find("type");
    const auto known_type = correlation_type(text_of(type));
    const bool median = text_of(type) == "value_median";  // pySigma's name for the 50th percentile
    if (!known_type && !median)
      return wrong(
          type,
          type == nullptr
              ? std::string(
                    "the correlation has no type: event_count, value_count, temporal, temporal_ordered, value_sum, "
                    "value_avg or value_percentile")
              : fmt::format("the correlation type '{}' is unknown: use event_count, value_count, temporal, "
                            "temporal_ordered, value_sum, value_avg or value_percentile",
                            text_of(type)));
    c.type = median ? CorrelationType::value_percentile : *known_type;

    const Yaml* rules = section.find("rules");
    for (auto& written : texts_of(rules)) {
      if (std::any_of(c.rules.begin(), c.rules.end(), [&](const RuleRef& r) { return r.written == written; })) continue;
      c.rules.push_back(RuleRef{false, 0, std::move(written)});
    }
    if (c.rules.empty()) return wrong(rules, "the correlation refers to no rule: add 'rules' with ids or names");
    if (c.rules.size() > kMaxReferences)
      return wrong(rules, fmt::format("a correlation of more than {} rules", kMaxReferences));

    if (const Yaml* aliases = section.find("aliases"); aliases != nullptr && !aliases->is_null()) {
      if (!aliases->is_map()) return wrong(aliases, "'aliases' is no map");
      for (std::size_t i = 0; i < aliases->keys.size(); ++i) {
        const Yaml& of = aliases->items[i];
        if (!of.is_map()) return wrong(&of, fmt::format("the alias '{}' is no map of rule: field", aliases->keys[i]));
        auto& entry = draft.aliases.emplace_back(aliases->keys[i], std::vector<std::pair<std::string, std::string>>());
        for (std::size_t k = 0; k < of.keys.size(); ++k) {
          if (!of.items[k].is_scalar())
            return wrong(&of.items[k],
                         fmt::format("the alias '{}' names no field for '{}'", aliases->keys[i], of.keys[k]));
          entry.second.emplace_back(of.keys[k], of.items[k].text);
        }
      }
    }
    c.group_by = texts_of(section.find("group-by"));
    const Yaml* timespan = section.find("timespan");
    if (timespan == nullptr || !timespan->is_scalar())
      return wrong(timespan, "the correlation has no timespan: add one, for example 'timespan: 10m'");
    const auto span = parse_timespan(trim(timespan->text));
    if (!span) return wrong(timespan, span.error().what);
    c.timespan = *span;
    c.generate = truthy(section.find("generate")) || truthy(y.find("generate"));

    const bool temporal = c.type == CorrelationType::temporal || c.type == CorrelationType::temporal_ordered;
    const Yaml* condition = section.find("condition");
    bool percentile = false;
    if (condition != nullptr && condition->is_scalar()) {
      if (!temporal)
        return wrong(condition, fmt::format("the condition of {} is a map, for example 'gte: 10'", to_string(c.type)));
      draft.expression = condition->text;
    } else if (condition != nullptr && condition->is_map()) {
      for (std::size_t i = 0; i < condition->keys.size(); ++i) {
        const auto& key = condition->keys[i];
        const Yaml& v = condition->items[i];
        if (key == "field") {
          c.fields = texts_of(&v);
          if (c.fields.empty()) return wrong(&v, "'field' names no field");
          continue;
        }
        const auto parsed = parse_number(v.text);
        const double number = parsed.value_or(0);
        if (key == "percentile") {
          if (!parsed || number < 0 || number > 100) return wrong(&v, "'percentile' is no number from 0 to 100");
          c.percentile = number;
          percentile = true;
          continue;
        }
        const auto compare = compare_of(key);
        if (!compare)
          return wrong(&v, fmt::format("the condition has no '{}': use gt, gte, lt, lte, eq, neq and field", key));
        if (!parsed) return wrong(&v, fmt::format("'{}' in the condition is no number", key));
        c.bounds.push_back(Bound{*compare, number});
      }
    } else if (condition != nullptr && !condition->is_null()) {
      return wrong(condition, "the condition is no map, for example 'gte: 10'");
    }
    if (!temporal && c.bounds.empty())
      return wrong(condition,
                   fmt::format("{} needs a condition with a number, for example 'gte: 10'", to_string(c.type)));
    const bool wants_field = !temporal && c.type != CorrelationType::event_count;
    if (wants_field && c.fields.empty())
      return wrong(condition, fmt::format("{} needs 'field' in its condition", to_string(c.type)));
    if (wants_field && c.type != CorrelationType::value_count && c.fields.size() > 1)
      return wrong(condition, fmt::format("{} takes one field", to_string(c.type)));
    if (!wants_field && !c.fields.empty())
      return wrong(condition, fmt::format("{} takes no 'field'", to_string(c.type)));

    BAVN_CHECK(claim_id(meta));
    check_meta(meta, y);
    if (c.type == CorrelationType::value_percentile && !percentile && !median)
      warn(meta,
           "says no 'percentile' in its condition: of numbers the 50th (the median) is compared, of texts their share "
           "of the events");
    c.meta = std::move(meta);
    drafts_.push_back(std::move(draft));
    return {};
  }

  // Where a rule or correlation of this id or name is. The same file is looked at first: names are often reused.
  Result<RuleRef> find(const std::string& written, const std::string& file) const {
    std::vector<RuleRef> anywhere, here;
    const auto consider = [&](const Meta& m, bool is_correlation, std::size_t i) {
      if (m.id != written && m.name != written) return;
      const RuleRef ref{is_correlation, static_cast<std::uint32_t>(i), written};
      anywhere.push_back(ref);
      if (m.file == file) here.push_back(ref);
    };
    const auto [from, to] = by_key_.equal_range(written);
    for (auto it = from; it != to; ++it) {
      const auto [is_correlation, i] = it->second;
      consider(is_correlation ? drafts_[i].correlation.meta : set_.rules[i].meta, is_correlation, i);
    }
    const auto& found = here.empty() ? anywhere : here;
    if (found.empty())
      return fail(
          Code::not_found,
          fmt::format("refers to '{}', which is not loaded: add that rule, or see why it was refused", written));
    if (found.size() > 1)
      return fail(Code::conflict,
                  fmt::format("refers to '{}', which is the name of several rules: use the id", written));
    return found.front();
  }

  // Correlations that are refused take those with them that refer to them; what is left unreached refers to itself in a circle.
  void drop_dependants() {
    std::vector<std::vector<std::size_t>> dependants(drafts_.size());
    std::vector<std::size_t> open(drafts_.size(), 0), ready, lost;
    for (std::size_t i = 0; i < drafts_.size(); ++i) {
      if (drafts_[i].refused) {
        lost.push_back(i);
        continue;
      }
      for (const auto& r : drafts_[i].correlation.rules) {
        if (!r.is_correlation) continue;
        dependants[r.index].push_back(i);
        ++open[i];
      }
      if (open[i] == 0) ready.push_back(i);
    }
    while (!lost.empty()) {
      const std::size_t gone = lost.back();
      lost.pop_back();
      for (const auto i : dependants[gone]) {
        if (drafts_[i].refused) continue;
        drop(drafts_[i],
             fmt::format("refers to '{}', which was refused: see there", drafts_[gone].correlation.meta.title));
        lost.push_back(i);
      }
    }
    std::vector<bool> reached(drafts_.size(), false);
    while (!ready.empty()) {
      const std::size_t done = ready.back();
      ready.pop_back();
      reached[done] = true;
      for (const auto i : dependants[done])
        if (--open[i] == 0) ready.push_back(i);
    }
    for (std::size_t i = 0; i < drafts_.size(); ++i)
      if (!reached[i] && !drafts_[i].refused)
        drop(drafts_[i], "is part of a circle: correlations that refer to each other");
  }

  void drop(CorrelationDraft& d, const std::string& why) {
    refuse(d.correlation.meta.file, d.correlation.meta.line, &d.correlation.meta, "the correlation " + why);
    d.refused = true;
  }

  void resolve_correlations() {
    for (auto& d : drafts_) {
      std::string why;
      for (auto& r : d.correlation.rules) {
        auto found = find(r.written, d.correlation.meta.file);
        if (!found) {
          if (why.empty()) why = found.error().what;
          continue;
        }
        r = *found;
        resolved_.insert_or_assign({&d, r.written}, r);
      }
      if (!why.empty()) {
        drop(d, why);
        continue;
      }
      if (auto ok = finish_draft(d); !ok) drop(d, ok.error().what);
    }
    drop_dependants();
    decide_who_reports();
    std::vector<std::uint32_t> place(drafts_.size(), 0);
    for (std::size_t i = 0; i < drafts_.size(); ++i) {
      place[i] = static_cast<std::uint32_t>(set_.correlations.size());
      if (!drafts_[i].refused) set_.correlations.push_back(std::move(drafts_[i].correlation));
    }
    for (std::uint32_t i = 0; i < set_.correlations.size(); ++i) {
      for (auto& r : set_.correlations[i].rules) {
        if (r.is_correlation) r.index = place[r.index];
        (r.is_correlation ? set_.correlations[r.index].correlations : set_.rules[r.index].correlations).push_back(i);
      }
    }
  }

  void remember(const Meta& m, bool is_correlation, std::size_t i) {
    if (!m.id.empty()) by_key_.emplace(m.id, std::pair(is_correlation, i));
    if (!m.name.empty() && m.name != m.id) by_key_.emplace(m.name, std::pair(is_correlation, i));
  }

  Result<void> finish_draft(CorrelationDraft& d) {
    Correlation& c = d.correlation;
    const auto position = [&](const std::string& rule) -> std::optional<std::size_t> {
      for (std::size_t i = 0; i < c.rules.size(); ++i) {
        const auto& r = c.rules[i];
        const Meta& m = r.is_correlation ? drafts_[r.index].correlation.meta : set_.rules[r.index].meta;
        if (r.written == rule || m.name == rule || m.id == rule) return i;
      }
      return std::nullopt;
    };
    for (auto& [name, of] : d.aliases) {
      Alias alias{name, std::vector<std::string>(c.rules.size())};
      for (auto& [rule, field] : of) {
        const auto at = position(rule);
        if (!at)
          return fail(Code::bad_input,
                      fmt::format("has an alias '{}' for '{}', which is none of its rules", name, rule));
        alias.field_of[*at] = std::move(field);
      }
      c.aliases.push_back(std::move(alias));
    }
    if (d.expression.empty()) return {};
    std::vector<std::string> names;
    std::vector<Node> leaves;
    for (std::size_t i = 0; i < c.rules.size(); ++i) {
      const auto& r = c.rules[i];
      const Meta& m = r.is_correlation ? drafts_[r.index].correlation.meta : set_.rules[r.index].meta;
      for (const auto& name : {r.written, m.name, m.id}) {
        if (name.empty() || std::find(names.begin(), names.end(), name) != names.end()) continue;
        names.push_back(name);
        leaves.push_back(Node{Node::Kind::leaf, static_cast<PredicateId>(i), {}});
      }
    }
    auto n = parse_condition(d.expression, names, leaves);
    if (!n) return fail(n.error().code, "has a condition that is not understood: " + n.error().what);
    c.expression = normalised(*std::move(n));
    c.has_expression = true;
    return {};
  }

  // What a correlation refers to reports only when one that refers to it says `generate`. Also a refused correlation keeps its
  // rules quiet: they were written as its parts and would flood.
  void decide_who_reports() {
    std::vector<bool> rule_used(set_.rules.size()), rule_generated(set_.rules.size());
    std::vector<bool> used(drafts_.size()), generated(drafts_.size());
    for (const auto& d : drafts_) {
      for (const auto& r : d.correlation.rules) {
        if (!resolved_.contains({&d, r.written})) continue;
        (r.is_correlation ? used : rule_used)[r.index] = true;
        if (d.correlation.generate) (r.is_correlation ? generated : rule_generated)[r.index] = true;
        if (d.refused && !r.is_correlation && !d.correlation.generate)
          warn(set_.rules[r.index].meta,
               fmt::format("stays quiet: it is part of the correlation '{}', which was refused",
                           d.correlation.meta.title));
      }
    }
    for (std::size_t i = 0; i < set_.rules.size(); ++i) set_.rules[i].reports = !rule_used[i] || rule_generated[i];
    for (std::size_t i = 0; i < drafts_.size(); ++i) drafts_[i].correlation.reports = !used[i] || generated[i];
  }

  const Placeholders& placeholders_;
  RegexCache regexes_;
  RuleSet set_;
  std::unordered_map<std::string, PredicateId> interned_;
  std::unordered_map<std::string, std::string> ids_;
  std::vector<FilterDraft> filters_;
  std::vector<CorrelationDraft> drafts_;
  std::unordered_multimap<std::string, std::pair<bool, std::size_t>> by_key_;
  std::map<std::pair<const CorrelationDraft*, std::string>, RuleRef> resolved_;
};

struct FileStamp {
  std::string path;
  std::uint64_t size = 0;
  std::int64_t modified = 0;
};

Result<std::string> read_file(const std::string& path, std::size_t most) {
  std::ifstream in(path, std::ios::binary | std::ios::ate);
  if (!in) return fail(Code::not_found, "cannot be read", path);
  const auto size = in.tellg();
  if (size < 0) return fail(Code::not_found, "cannot be read", path);
  if (static_cast<std::uintmax_t>(size) > most)
    return fail(Code::bad_input, fmt::format("larger than {} MiB: split the file", most >> 20), path);
  std::string text(static_cast<std::size_t>(size), '\0');
  in.seekg(0);
  in.read(text.data(), size);
  if (!in) return fail(Code::unavailable, "cannot be read", path);
  return text;
}

bool is_rule_file(const fs::path& p) {
  const auto extension = to_lower(p.extension().string());
  return extension == ".yml" || extension == ".yaml";
}

Result<std::vector<FileStamp>> list_files(std::span<const std::string> paths) {
  std::vector<FileStamp> out;
  const auto add = [&](const fs::path& p) {
    std::error_code e;
    FileStamp stamp{p.string(), 0, 0};
    stamp.size = fs::file_size(p, e);
    const auto time = fs::last_write_time(p, e);
    if (!e) stamp.modified = time.time_since_epoch().count();
    out.push_back(std::move(stamp));
  };
  for (const auto& path : paths) {
    std::error_code e;
    const auto status = fs::status(path, e);
    if (e || !fs::exists(status)) return fail(Code::not_found, "there is no such file or folder", path);
    if (!fs::is_directory(status)) {
      add(path);
      continue;
    }
    for (fs::recursive_directory_iterator it(path, fs::directory_options::skip_permission_denied, e), end;
         !e && it != end; it.increment(e)) {
      std::error_code none;
      if (it->is_regular_file(none) && is_rule_file(it->path())) add(it->path());
      if (out.size() > kMaxFiles)
        return fail(Code::bad_input, fmt::format("holds more than {} rule files", kMaxFiles), path);
    }
    if (e) return fail(Code::unavailable, "cannot be listed: " + e.message(), path);
  }
  std::sort(out.begin(), out.end(), [](const auto& a, const auto& b) { return a.path < b.path; });
  out.erase(std::unique(out.begin(), out.end(), [](const auto& a, const auto& b) { return a.path == b.path; }),
            out.end());
  return out;
}

std::string cache_key(const std::vector<FileStamp>& files, const std::string& placeholders) {
  std::string all;
  for (const auto& f : files) all += fmt::format("{}\n{}\n{}\n", f.path, f.size, f.modified);
  return fmt::format("{} {:016x}{:016x} {:016x}", files.size(), hash64(all, 1), hash64(all, 2),
                     hash64(placeholders, 3));
}

// Other processes may read the cache at any time: a new file takes its place in one step.
Result<void> write_whole(const std::string& path, std::string_view bytes) {
  const std::string temporary = path + ".new";
  {
    std::ofstream out(temporary, std::ios::binary | std::ios::trunc);
    out.write(bytes.data(), static_cast<std::streamsize>(bytes.size()));
    if (!out.flush()) return fail(Code::unavailable, "cannot be written", path);
  }
  std::error_code e;
  fs::rename(temporary, path, e);
  if (e) return fail(Code::unavailable, "cannot be written: " + e.message(), path);
  return {};
}

Result<Placeholders> read_placeholders(const std::string& file, std::string& text) {
  if (file.empty()) return Placeholders{};
  BAVN_TRY(text, read_file(file, kMaxYamlBytes));
  auto p = parse_placeholders(text);
  if (!p) return fail(Code::bad_input, p.error().what, file + ":" + p.error().where);
  return p;
}

}  // namespace

Result<RuleSet> load(std::span<const std::string> paths, const Options& options) {
  std::string placeholders_text;
  BAVN_TRY(const Placeholders placeholders, read_placeholders(options.placeholders_file, placeholders_text));
  BAVN_TRY(const auto files, list_files(paths));
  std::vector<Warning> about_cache;
  std::string key;
  if (!options.cache_file.empty()) {
    key = cache_key(files, placeholders_text);
    std::error_code e;
    if (fs::exists(options.cache_file, e)) {
      if (const auto bytes = read_file(options.cache_file, std::size_t{1} << 30); !bytes) {
        about_cache.push_back(Warning{options.cache_file, 0, "the rule cache is not used: it " + bytes.error().what});
      } else if (auto set = decode_cache(*bytes, key)) {
        return set;
      } else if (set.error().code != Code::not_found) {
        about_cache.push_back(Warning{options.cache_file, 0,
                                      fmt::format("{}: it is not used and will be written anew", set.error().what)});
      }
    }
  }
  Loader loader(placeholders);
  for (const auto& f : files) {
    auto text = read_file(f.path, kMaxYamlBytes);
    if (!text) loader.unreadable(f.path, text.error().what);
    else loader.read(Source{f.path, *std::move(text)});
  }
  RuleSet set = loader.finish();
  if (!options.cache_file.empty()) {
    if (auto written = write_whole(options.cache_file, encode_cache(set, key)); !written)
      about_cache.push_back(Warning{options.cache_file, 0, "the rule cache " + written.error().what});
  }
  std::move(about_cache.begin(), about_cache.end(), std::back_inserter(set.warnings));
  return set;
}

Result<RuleSet> load_texts(std::span<const std::pair<std::string, std::string>> texts, const Options& options) {
  std::string placeholders_text;
  BAVN_TRY(const Placeholders placeholders, read_placeholders(options.placeholders_file, placeholders_text));
  Loader loader(placeholders);
  for (const auto& [name, text] : texts) loader.read(Source{name, text});
  return loader.finish();
}

Result<RuleSet> load_text(std::string_view text, const Options& options) {
  const std::pair<std::string, std::string> one[] = {{"", std::string(text)}};
  return load_texts(one, options);
}

}  // namespace bavn::match::sigma
