#include "app/simulate/fields.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <chrono>
#include <cmath>

#include "base/text.hpp"
#include "match/sigma/yaml.hpp"
#include "tenants/municipalities.hpp"

namespace bavn::app::simulate {

namespace {

using match::sigma::Yaml;

constexpr std::pair<std::string_view, double> kUnits[] = {
    {"ms", 1e3},  {"s", 1e6},      {"m", 6e7},     {"min", 6e7},    {"h", 36e8},   {"d", 864e8},
    {"sec", 1e6}, {"days", 864e8}, {"day", 864e8}, {"hours", 36e8}, {"hour", 36e8}};

std::optional<double> number_of(std::string_view t) {
  double d = 0;
  const auto [end, ec] = std::from_chars(t.data(), t.data() + t.size(), d);
  if (ec != std::errc() || end != t.data() + t.size() || !std::isfinite(d)) return std::nullopt;
  return d;
}

std::string join(const std::vector<std::string_view>& words) {
  std::string out;
  for (const auto w : words) out += (out.empty() ? "" : ", ") + std::string(w);
  return out;
}

std::string plain(double d) {
  return fmt::format("{:g}", d);
}

/// 2024-10-25T06:00:00Z or ...+02:00: with its zone, and a day that there is.
bool whole_moment(std::string_view text) {
  const auto digits = [&](std::size_t at, std::size_t n) {
    int out = 0;
    for (std::size_t i = at; i < at + n; ++i) {
      if (i >= text.size() || !ascii_digit(text[i])) return -1;
      out = out * 10 + (text[i] - '0');
    }
    return out;
  };
  const int year = digits(0, 4), month = digits(5, 2), day = digits(8, 2);
  if (year < 0 || month < 0 || day < 0) return false;
  using namespace std::chrono;
  if (!year_month_day(std::chrono::year(year), std::chrono::month(static_cast<unsigned>(month)),
                      std::chrono::day(static_cast<unsigned>(day)))
           .ok())
    return false;
  if (text.ends_with('Z') || text.ends_with('z')) return true;
  const auto sign = text.find_last_of("+-");
  return sign != std::string_view::npos && sign > 10;
}

class Reader final : public Fields {
 public:
  Reader(const Yaml& node, std::string path, std::vector<Fault>& faults)
      : node_(node), path_(std::move(path)), faults_(faults) {}

  /// Unknown keys, after everything known was asked for.
  void finish() {
    if (!node_.is_map()) return;
    for (std::size_t i = 0; i < node_.keys.size(); ++i) {
      const std::string& key = node_.keys[i];
      if (std::find(known_.begin(), known_.end(), key) != known_.end()) continue;
      const auto guess = nearest(key, known_);
      add(node_.items[i].line, key, fmt::format("nothing here is called '{}'", key.substr(0, 80)),
          guess.empty() ? "known here: " + join(known_) : fmt::format("did you mean '{}'?", guess));
    }
  }

  void text(std::string_view key, std::string& v, std::size_t longest, std::string_view) override {
    const Yaml* n = find(key);
    if (n == nullptr) return;
    if (!n->is_scalar()) return wrong(*n, key, "a text is wanted", "write one line of text");
    if (n->text.size() > longest) return wrong(*n, key, fmt::format("longer than {} bytes", longest), "shorten it");
    if (std::any_of(n->text.begin(), n->text.end(), [](char c) {
          return (static_cast<unsigned char>(c) < 0x20 && c != '\n' && c != '\t') || c == 0x7f;
        }))
      return wrong(*n, key, "a control character stands in it", "leave it out");
    v = std::string(trim(n->text));
  }
  void texts(std::string_view key, std::vector<std::string>& v, std::size_t most, std::string_view) override {
    const Yaml* n = find(key);
    if (n == nullptr) return;
    v.clear();
    const auto take = [&](const Yaml& item) {
      if (!item.is_scalar()) return wrong(item, key, "a list of texts is wanted", "write [one, another]");
      if (item.text.size() > 500) return wrong(item, key, "longer than 500 bytes", "shorten it");
      v.push_back(item.text);
    };
    if (n->is_list())
      for (const auto& item : n->items) take(item);
    else if (!n->is_null()) take(*n);
    if (v.size() > most) wrong(*n, key, fmt::format("more than {} entries", most), "shorten the list");
  }
  void choice(std::string_view key, std::string& v, Choices of, std::string_view) override {
    const Yaml* n = find(key);
    if (n == nullptr) return;
    if (n->is_scalar() && std::find(of.begin(), of.end(), n->text) != of.end()) {
      v = n->text;
      return;
    }
    const std::vector<std::string_view> all(of.begin(), of.end());
    const auto guess = n->is_scalar() ? nearest(n->text, all) : std::string_view();
    wrong(*n, key,
          n->is_scalar() ? fmt::format("'{}' is none of the choices", n->text.substr(0, 80)) : "one word is wanted",
          guess.empty() ? "choose one of: " + join(all)
                        : fmt::format("did you mean '{}'? choose one of: {}", guess, join(all)));
  }
  void whole(std::string_view key, std::int64_t& v, std::int64_t low, std::int64_t high, std::string_view) override {
    const Yaml* n = find(key);
    if (n == nullptr) return;
    std::int64_t got = 0;
    const char* end = n->text.data() + n->text.size();
    const auto [at, ec] = std::from_chars(n->text.data(), end, got);
    if (!n->is_scalar() || ec != std::errc() || at != end)
      return wrong(*n, key, fmt::format("'{}' is no whole number", n->text.substr(0, 40)),
                   fmt::format("write a number from {} to {}", low, high));
    if (got < low || got > high)
      return wrong(*n, key, fmt::format("{} is out of range", got), fmt::format("from {} to {}", low, high));
    v = got;
  }
  void number(std::string_view key, double& v, double low, double high, std::string_view) override {
    const Yaml* n = find(key);
    if (n != nullptr) number(*n, key, v, low, high);
  }
  void flag(std::string_view key, bool& v, std::string_view) override {
    const Yaml* n = find(key);
    if (n == nullptr) return;
    const std::string t = to_lower(n->text);
    if (n->is_scalar() && (t == "true" || t == "yes")) v = true;
    else if (n->is_scalar() && (t == "false" || t == "no")) v = false;
    else wrong(*n, key, "yes or no is wanted", "write true or false");
  }
  void length(std::string_view key, Duration& v, Duration low, Duration high, std::string_view) override {
    const Yaml* n = find(key);
    if (n != nullptr) length(*n, key, v, low, high);
  }
  void span(std::string_view key, Span& v, Duration low, Duration high, std::string_view) override {
    const Yaml* n = find(key);
    if (n != nullptr) span(*n, key, v, low, high);
  }
  void moment(std::string_view key, Instant& v, std::string_view) override {
    const Yaml* n = find(key);
    if (n == nullptr) return;
    const auto t = n->is_scalar() ? parse_time(n->text) : std::nullopt;
    const std::string_view fix = "write it like 2024-10-25T06:00:00Z or 2024-10-25T08:00:00+02:00";
    if (!t) return wrong(*n, key, fmt::format("'{}' is no moment", n->text.substr(0, 40)), std::string(fix));
    if (!whole_moment(trim(n->text)))
      return wrong(*n, key, fmt::format("'{}' has no zone, or its day does not exist", n->text.substr(0, 40)),
                   std::string(fix));
    if (*t < from_micros(946'684'800'000'000) || *t > from_micros(4'102'444'800'000'000))
      return wrong(*n, key, "outside the years 2000 to 2100", "choose a day in between");
    v = *t;
  }
  void towns(std::string_view key, TownChoice& v, std::string_view) override {
    const Yaml* n = find(key);
    if (n == nullptr) return;
    v = {};
    v.line = n->line;
    const std::size_t before = faults_.size();
    if (n->is_list())
      for (const auto& item : n->items) town(item, key, v);
    else town(*n, key, v);
    v.wrong = faults_.size() > before;
  }
  void curve(std::string_view key, Curve& v, std::string_view) override {
    const Yaml* n = find(key);
    if (n == nullptr) return;
    if (!n->is_map() || n->keys.empty())
      return wrong(*n, key, "a map from durations to shares is wanted", "write {1m: 0.11, 5m: 0.25, 1h: 0.52, 24h: 1}");
    v.clear();
    for (std::size_t i = 0; i < n->keys.size(); ++i) {
      const auto d = parse_duration(n->keys[i]);
      double share = 0;
      if (!d || *d <= Duration::zero()) {
        wrong(n->items[i], key, fmt::format("'{}' is no duration above zero", n->keys[i].substr(0, 40)),
              "write it like 90s, 5m, 24h or 3d");
        continue;
      }
      if (!number(n->items[i], key, share, 0, 1)) continue;
      if (!v.empty() && (*d <= v.back().first || share < v.back().second)) {
        wrong(n->items[i], key, "durations and shares must grow from line to line", "put them in order");
        continue;
      }
      v.emplace_back(*d, share);
    }
    if (!v.empty() && v.back().second <= 0) wrong(*n, key, "the last share must be above zero", "end it with 1");
  }
  void numbers(std::string_view key, std::map<std::string, double, std::less<>>& v, Choices keys, double low,
               double high, std::string_view) override {
    each(key, keys, [&](const std::string& name, const Yaml& n) {
      double d = 0;
      if (number(n, fmt::format("{}.{}", key, name), d, low, high)) v[name] = d;
    });
  }
  void words(std::string_view key, std::map<std::string, std::string, std::less<>>& v, Choices keys,
             std::string_view) override {
    each(key, keys, [&](const std::string& name, const Yaml& n) {
      if (!n.is_scalar() || n.text.size() > 200)
        return wrong(n, fmt::format("{}.{}", key, name), "one short value is wanted", "write name: value");
      v[name] = n.text;
    });
  }
  void source(std::string_view key, SourceSpec& v, std::string_view) override {
    const Yaml* n = find(key);
    if (n == nullptr) return;
    constexpr Duration kLongest = std::chrono::hours{72};
    if (n->is_scalar() && (n->text == "none" || n->text == "no")) {
      v.there = false;
    } else if (n->is_map()) {
      Reader inner(*n, path_of(key), faults_);
      if (!v.there && n->find("late") == nullptr)
        wrong(*n, key, "how late it is does not stand here", "write {late: 5m..15m, share: 0.4}");
      inner.span("late", v.late, Duration::zero(), kLongest, "");
      inner.number("share", v.share, 0, 1, "");
      inner.finish();
      v.there = true;
    } else {
      v.there = true;
      v.share = 1;
      span(*n, key, v.late, Duration::zero(), kLongest);
    }
  }
  void expectations(std::string_view key, std::vector<Expectation>& v, std::string_view) override {
    std::vector<std::string_view> names;
    for (const auto& [name, doc] : figures()) names.push_back(name);
    each(key, names, [&](const std::string& name, const Yaml& n) {
      Expectation e{name, "==", 0, n.line};
      std::string_view t = trim(n.text);
      for (const std::string_view relation : {"<=", ">=", "==", "<", ">"})
        if (t.starts_with(relation)) {
          e.relation = relation;
          t = trim(t.substr(relation.size()));
          break;
        }
      const auto limit = n.is_scalar() ? number_of(t) : std::nullopt;
      if (!limit)
        return wrong(n, fmt::format("{}.{}", key, name), "a relation and a number are wanted",
                     "write \"<= 12\", \">= 3\" or \"== 0\"");
      e.limit = *limit;
      v.push_back(std::move(e));
    });
  }
  void line_of(std::string_view key, std::uint32_t& line) override {
    if (key.empty()) {
      line = node_.line;
    } else if (const Yaml* n = node_.find(key)) {
      line = n->line;
    }
  }
  void required(std::string_view key) override {
    if (node_.find(key) == nullptr) add(node_.line, key, fmt::format("'{}' is missing", key), "add it");
  }
  bool has(std::string_view key) const override {
    // A key that is asked about is known, there or not.
    known_.push_back(key);
    return node_.find(key) != nullptr;
  }
  void part(std::string_view key, const Describe& describe, std::string_view) override {
    const Yaml* n = find(key);
    if (n == nullptr || n->is_null()) return;
    read_part(*n, path_of(key), describe);
  }
  void parts(std::string_view key, std::size_t most, const std::function<void(Fields&)>& add_one,
             std::string_view) override {
    const Yaml* n = find(key);
    if (n == nullptr || n->is_null()) return;
    if (!n->is_list()) return wrong(*n, key, "a list is wanted", "begin each entry with a dash");
    if (n->items.size() > most) return wrong(*n, key, fmt::format("more than {} entries", most), "shorten the list");
    for (std::size_t i = 0; i < n->items.size(); ++i)
      read_part(n->items[i], fmt::format("{}.{}", path_of(key), i + 1), add_one);
  }
  void named_parts(std::string_view key, Choices keys, const std::function<void(const std::string&, Fields&)>& add_one,
                   std::string_view) override {
    each(key, keys, [&](const std::string& name, const Yaml& n) {
      read_part(n, fmt::format("{}.{}", path_of(key), name), [&](Fields& f) { add_one(name, f); });
    });
  }

 private:
  void read_part(const Yaml& n, std::string path, const Describe& describe) {
    if (!n.is_map())
      return add_at(n.line, std::move(path), "fields are wanted here, each with its name", "write name: value");
    Reader inner(n, std::move(path), faults_);
    describe(inner);
    inner.finish();
  }
  const Yaml* find(std::string_view key) {
    known_.push_back(key);
    return node_.find(key);
  }
  void each(std::string_view key, Choices keys, const std::function<void(const std::string&, const Yaml&)>& f) {
    const Yaml* n = find(key);
    if (n == nullptr || n->is_null()) return;
    if (!n->is_map()) return wrong(*n, key, "fields are wanted here, each with its name", "write name: value");
    const std::vector<std::string_view> all(keys.begin(), keys.end());
    for (std::size_t i = 0; i < n->keys.size(); ++i) {
      if (!all.empty() && std::find(all.begin(), all.end(), n->keys[i]) == all.end()) {
        const auto guess = nearest(n->keys[i], all);
        add_at(n->items[i].line, fmt::format("{}.{}", path_of(key), n->keys[i].substr(0, 80)),
               fmt::format("nothing here is called '{}'", n->keys[i].substr(0, 80)),
               guess.empty() ? "known here: " + join(all) : fmt::format("did you mean '{}'?", guess));
        continue;
      }
      f(n->keys[i], n->items[i]);
    }
  }
  bool number(const Yaml& n, std::string_view key, double& v, double low, double high) {
    const auto d = n.is_scalar() ? number_of(n.text) : std::nullopt;
    if (!d) {
      wrong(n, key, fmt::format("'{}' is no number", n.text.substr(0, 40)),
            fmt::format("write a number from {} to {}", plain(low), plain(high)));
      return false;
    }
    if (*d < low || *d > high) {
      wrong(n, key, fmt::format("{} is out of range", plain(*d)),
            fmt::format("from {} to {}", plain(low), plain(high)));
      return false;
    }
    v = *d;
    return true;
  }
  bool length(const Yaml& n, std::string_view key, Duration& v, Duration low, Duration high) {
    const auto d = n.is_scalar() ? parse_duration(n.text) : std::nullopt;
    if (!d) {
      wrong(n, key, fmt::format("'{}' is no duration", n.text.substr(0, 40)), "write it like 90s, 5m, 24h or 3d");
      return false;
    }
    if (*d < low || *d > high) {
      wrong(n, key, fmt::format("{} is out of range", format_duration(*d)),
            fmt::format("from {} to {}", format_duration(low), format_duration(high)));
      return false;
    }
    v = *d;
    return true;
  }
  void span(const Yaml& n, std::string_view key, Span& v, Duration low, Duration high) {
    const auto cut = n.text.find("..");
    if (!n.is_scalar()) return wrong(n, key, "a duration or two with .. are wanted", "write 5m or 5m..15m");
    Yaml one = n, two = n;
    one.text = std::string(trim(std::string_view(n.text).substr(0, cut)));
    two.text = cut == std::string::npos ? one.text : std::string(trim(std::string_view(n.text).substr(cut + 2)));
    Span got;
    if (!length(one, key, got.low, low, high)) return;
    if (cut != std::string::npos) {
      if (!length(two, key, got.high, low, high)) return;
    } else {
      got.high = got.low;
    }
    if (got.high < got.low)
      return wrong(n, key, "the second duration is the shorter one", "write the shorter one first");
    v = got;
  }
  void town(const Yaml& n, std::string_view key, TownChoice& v) {
    static const auto municipalities = tenants::Municipalities::all();
    if (!n.is_scalar())
      return wrong(n, key, "a municipality, a number, all or none is wanted", "write [Gentofte, 0173] or 25 or all");
    const std::string_view t = trim(n.text);
    const std::string low = to_lower(t);
    if (low == "all") {
      v.all = true;
    } else if (low == "none") {
    } else if (low.starts_with("size ") || low.starts_with("region ")) {
      const std::string_view what = trim(t.substr(t.find(' ')));
      bool known = false;
      std::vector<std::string_view> names = {"S", "M", "L", "XL"};
      if (low.starts_with("region ")) {
        names.clear();
        for (const auto& m : municipalities.list())
          if (std::find(names.begin(), names.end(), m.region) == names.end()) names.push_back(m.region);
      }
      for (const auto name : names) known = known || iequals(name, what);
      if (!known)
        return wrong(n, key, fmt::format("'{}' is unknown", std::string(t.substr(0, 60))), "known: " + join(names));
      v.groups.emplace_back(t);
    } else if (!t.empty() && t.size() < 4 && std::all_of(t.begin(), t.end(), ascii_digit)) {
      v.some += std::stoll(std::string(t));
      if (v.some > 500) wrong(n, key, fmt::format("{} municipalities are more than there are", v.some), "write all");
    } else {
      const auto found = municipalities.named(t);
      if (!found) return wrong_town(n.line, key, found.error());
      v.named.emplace_back(t);
      v.ids.push_back((*found)->id);
    }
  }
  void wrong_town(std::uint32_t line, std::string_view key, const Error& error) {
    auto [what, fix] = what_and_fix(error);
    add(line, key, std::move(what), std::move(fix));
  }
  std::string path_of(std::string_view key) const {
    return path_.empty() ? std::string(key) : fmt::format("{}.{}", path_, key);
  }
  void wrong(const Yaml& n, std::string_view key, std::string what, std::string fix) {
    add(n.line, key, std::move(what), std::move(fix));
  }
  void add(std::uint32_t line, std::string_view key, std::string what, std::string fix) {
    add_at(line, path_of(key), std::move(what), std::move(fix));
  }
  void add_at(std::uint32_t line, std::string where, std::string what, std::string fix) {
    if (faults_.size() < 200) faults_.push_back({line, std::move(where), std::move(what), std::move(fix)});
  }

  const Yaml& node_;
  std::string path_;
  std::vector<Fault>& faults_;
  mutable std::vector<std::string_view> known_;
};

class Explainer final : public Fields {
 public:
  explicit Explainer(std::string& out, std::string path = {}) : out_(out), path_(std::move(path)) {}

  void text(std::string_view key, std::string& v, std::size_t longest, std::string_view doc) override {
    row(key, fmt::format("text, at most {} bytes", longest), v.empty() ? "" : fmt::format("`{}`", v), doc);
  }
  void texts(std::string_view key, std::vector<std::string>& v, std::size_t most, std::string_view doc) override {
    std::string all;
    for (const auto& t : v) all += (all.empty() ? "" : ", ") + t;
    row(key, fmt::format("text or list of at most {}", most), all.empty() ? "" : fmt::format("`{}`", all), doc);
  }
  void choice(std::string_view key, std::string& v, Choices of, std::string_view doc) override {
    std::string all;
    for (const auto c : of) all += (all.empty() ? "`" : ", `") + std::string(c) + "`";
    row(key, all, v.empty() ? "" : fmt::format("`{}`", v), doc);
  }
  void whole(std::string_view key, std::int64_t& v, std::int64_t low, std::int64_t high,
             std::string_view doc) override {
    row(key, fmt::format("whole number, {} to {}", low, high), std::to_string(v), doc);
  }
  void number(std::string_view key, double& v, double low, double high, std::string_view doc) override {
    row(key, fmt::format("number, {} to {}", plain(low), plain(high)), v < 0 && low >= 0 ? "" : plain(v), doc);
  }
  void flag(std::string_view key, bool& v, std::string_view doc) override {
    row(key, "true or false", v ? "true" : "false", doc);
  }
  void length(std::string_view key, Duration& v, Duration low, Duration high, std::string_view doc) override {
    row(key, fmt::format("duration, {} to {}", format_duration(low), format_duration(high)), format_duration(v), doc);
  }
  void span(std::string_view key, Span& v, Duration low, Duration high, std::string_view doc) override {
    row(key, fmt::format("range of durations, {} to {}", format_duration(low), format_duration(high)),
        fmt::format("`{}..{}`", format_duration(v.low), format_duration(v.high)), doc);
  }
  void moment(std::string_view key, Instant&, std::string_view doc) override { row(key, "moment", "", doc); }
  void towns(std::string_view key, TownChoice& v, std::string_view doc) override {
    row(key, "municipalities", v.all ? "`all`" : v.some > 0 ? std::to_string(v.some) : "`none`", doc);
  }
  void curve(std::string_view key, Curve& v, std::string_view doc) override {
    std::string all;
    for (const auto& [d, s] : v) all += fmt::format("{}{}: {}", all.empty() ? "" : ", ", format_duration(d), plain(s));
    row(key, "map of durations to shares", all.empty() ? "" : fmt::format("`{{{}}}`", all), doc);
  }
  void numbers(std::string_view key, std::map<std::string, double, std::less<>>&, Choices keys, double low, double high,
               std::string_view doc) override {
    row(key, fmt::format("map of numbers, {} to {}{}", plain(low), plain(high), list_of(keys)), "", doc);
  }
  void words(std::string_view key, std::map<std::string, std::string, std::less<>>&, Choices keys,
             std::string_view doc) override {
    row(key, fmt::format("map of values{}", keys.size() > 12 ? "" : list_of(keys)), "", doc);
  }
  void source(std::string_view key, SourceSpec& v, std::string_view doc) override {
    row(key, "`none`, a range of durations, or `{late: .., share: ..}`",
        v.there ? fmt::format("`{}..{}`{}", format_duration(v.late.low), format_duration(v.late.high),
                              v.share < 1 ? fmt::format(", share {}", plain(v.share)) : "")
                : "`none`",
        doc);
  }
  void expectations(std::string_view key, std::vector<Expectation>&, std::string_view doc) override {
    row(key, "map from figures to limits", "", doc);
  }
  void line_of(std::string_view, std::uint32_t&) override {}
  void required(std::string_view) override {}
  bool has(std::string_view) const override { return true; }
  void part(std::string_view key, const Describe& describe, std::string_view doc) override {
    row(key, "fields", "", doc);
    Explainer inner(out_, path_of(key));
    describe(inner);
  }
  void parts(std::string_view key, std::size_t most, const std::function<void(Fields&)>& add,
             std::string_view doc) override {
    row(key, fmt::format("list of at most {}", most), "", doc);
    Explainer inner(out_, path_of(key) + "[]");
    add(inner);
  }
  void named_parts(std::string_view key, Choices keys, const std::function<void(const std::string&, Fields&)>& add,
                   std::string_view doc) override {
    row(key, fmt::format("map{}", list_of(keys)), "", doc);
    if (known_shapes_++ > 0) return;
    Explainer inner(out_, path_of(key) + ".<name>");
    add("", inner);
  }

 private:
  static std::string list_of(Choices keys) {
    std::string all;
    for (const auto k : keys) all += (all.empty() ? " of `" : ", `") + std::string(k) + "`";
    return all;
  }
  std::string path_of(std::string_view key) const {
    return path_.empty() ? std::string(key) : fmt::format("{}.{}", path_, key);
  }
  void row(std::string_view key, std::string_view type, std::string_view fallback, std::string_view doc) {
    out_ += fmt::format("| `{}` | {} | {} | {} |\n", path_of(key), type, fallback, doc);
  }
  std::string& out_;
  std::string path_;
  int known_shapes_ = 0;
};

}  // namespace

std::optional<Duration> parse_duration(std::string_view text) {
  text = trim(text);
  if (text.empty() || text.size() > 20) return std::nullopt;
  const bool minus = text.front() == '-';
  if (minus || text.front() == '+') text.remove_prefix(1);
  if (text == "0") return Duration::zero();
  // One or more of number and unit, larger units first: 90s, 1.5 h, 23h35m.
  double sum = 0, last = 1e18;
  while (!text.empty()) {
    const auto end = std::min(text.find_first_not_of("0123456789."), text.size());
    const auto n = number_of(text.substr(0, end));
    text = trim(text.substr(end));
    const auto stop = std::min(text.find_first_of("0123456789."), text.size());
    const std::string_view unit = trim(text.substr(0, stop));
    const auto found =
        std::find_if(std::begin(kUnits), std::end(kUnits), [&](const auto& u) { return u.first == unit; });
    if (!n || found == std::end(kUnits) || found->second >= last) return std::nullopt;
    sum += *n * found->second;
    last = found->second;
    text = text.substr(stop);
  }
  if (sum > 4e15) return std::nullopt;
  return Duration{std::llround(minus ? -sum : sum)};
}

std::string format_duration(Duration d) {
  const double us = static_cast<double>(d.count());
  if (d == Duration::zero()) return "0s";
  for (const auto& [name, size] : {std::pair<const char*, double>{"d", 864e8}, {"h", 36e8}, {"m", 6e7}, {"s", 1e6}})
    if (std::abs(us) >= size && (std::fmod(us, size) == 0 || size == 1e6)) return plain(us / size) + name;
  return plain(us / 1e3) + "ms";
}

std::pair<std::string, std::string> what_and_fix(const Error& error) {
  const auto cut = error.what.rfind("; ");
  if (cut == std::string::npos) return {error.what, "write its name or code as in the list of municipalities"};
  return {error.what.substr(0, cut), error.what.substr(cut + 2)};
}

std::string to_string(const Fault& f, std::string_view file) {
  std::string out =
      fmt::format("{}:{}: {}: {}; {}", file, f.line, f.where.empty() ? "the file" : f.where, f.what, f.fix);
  // What stands in the file is for a terminal now.
  for (char& c : out)
    if (static_cast<unsigned char>(c) < 0x20 || c == 0x7f) c = '?';
  return out;
}

std::vector<Fault> read_fields(std::string_view text, const Fields::Describe& describe) {
  std::vector<Fault> faults;
  const auto documents = match::sigma::read_yaml(text);
  if (!documents) return {{1, "", documents.error().what, "write YAML"}};
  if (documents->empty()) return {{1, "", "there is nothing in it", "write a scenario as in docs/scenarios.md"}};
  if (documents->size() > 1)
    faults.push_back({(*documents)[1].line, "", "a second document begins here", "one file is one scenario"});
  const auto& root = documents->front().root;
  if (!root) {
    const auto line = number_of(root.error().where);
    faults.push_back({line ? static_cast<std::uint32_t>(*line) : 1, "", root.error().what, "repair the YAML"});
    return faults;
  }
  if (!root->is_map()) {
    faults.push_back({root->line, "", "fields are wanted, each with its name", "begin with name: ..."});
    return faults;
  }
  Reader reader(*root, "", faults);
  describe(reader);
  reader.finish();
  return faults;
}

std::string explain_fields(const Fields::Describe& describe) {
  std::string out = "| field | type | default | meaning |\n|---|---|---|---|\n";
  Explainer explainer(out);
  describe(explainer);
  return out;
}

}  // namespace bavn::app::simulate
