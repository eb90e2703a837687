// kind,value,source,confidence,tlp,valid_from,valid_until,action,comment
// domain,evil.example,example list,80,amber,2026-01-01T00:00:00Z,2026-07-01T00:00:00Z,warn,"phishing, seen twice"
#include <algorithm>
#include <array>
#include <charconv>

#include "base/text.hpp"
#include "match/indicators/loader.hpp"

namespace bavn::match::indicators {

namespace {

constexpr std::size_t kMostColumns = 256;
constexpr std::size_t kLongestField = 64 * 1024;

enum class Column : std::uint8_t {
  other,
  kind,
  value,
  source,
  confidence,
  tlp,
  valid_from,
  valid_until,
  action,
  comment,
  to_ids,
  of_kind
};

/// The kind that a column's name or a type means, in the writing of feeds and products (abuse.ch, OTX, Defender); else the text as it is.
std::string kind_of(std::string_view name) {
  std::string n;
  for (const char c : to_lower(trim(name)))
    if (c != '-' && c != '_' && c != ' ') n += c;
  static constexpr std::pair<std::string_view, std::string_view> kVendors[] = {
      {"filehashmd5", "md5"}, {"filehashsha1", "sha1"},  {"filehashsha256", "sha256"},
      {"filemd5", "md5"},     {"filesha1", "sha1"},      {"filesha256", "sha256"},
      {"md5hash", "md5"},     {"sha1hash", "sha1"},      {"sha256hash", "sha256"},
      {"hashmd5", "md5"},     {"hashsha1", "sha1"},      {"hashsha256", "sha256"},
      {"filehash", "hash"},   {"domainname", "domain"},  {"dns", "domain"},
      {"ipaddress", "ip"},    {"ip:port", "ip"},         {"ipport", "ip"},
      {"dstip", "ip"},        {"srcip", "ip"},           {"ipv4address", "ip"},
      {"ipv6address", "ip"},  {"emailaddress", "email"}, {"senderaddress", "email"}};
  for (const auto& [vendor, kind] : kVendors)
    if (n == vendor) return std::string(kind);
  return std::string(trim(name));
}
/// Columns that say what they hold beside others that say nothing; "email" or "user" beside others is somebody's contact.
bool is_sure(std::string_view kind) {
  const auto k = event::parse_kind(kind);
  if (!k) return kind == "hash";
  switch (*k) {
    case event::Kind::domain:
    case event::Kind::url:
    case event::Kind::ipv4:
    case event::Kind::ipv6:
    case event::Kind::cidr:
    case event::Kind::md5:
    case event::Kind::sha1:
    case event::Kind::sha256: return true;
    default: return false;
  }
}

Column column_of(std::string_view name) {
  std::string n = to_lower(trim(name));
  for (char& c : n)
    if (c == '-' || c == ' ') c = '_';
  const auto is = [&](std::initializer_list<std::string_view> names) {
    return std::find(names.begin(), names.end(), n) != names.end();
  };
  if (is({"kind", "type", "indicator_type", "indicatortype", "ioc_type"})) return Column::kind;
  if (is({"value", "indicator", "indicator_value", "indicatorvalue", "ioc", "ioc_value", "observable"}))
    return Column::value;
  if (is({"source", "feed", "origin"})) return Column::source;
  if (n == "confidence") return Column::confidence;
  if (n == "tlp") return Column::tlp;
  if (is({"valid_from", "first_seen"})) return Column::valid_from;
  if (is({"valid_until", "valid_to", "expires", "expiration", "expiration_time", "expirationtime"}))
    return Column::valid_until;
  if (n == "action") return Column::action;
  if (is({"comment", "description", "app"})) return Column::comment;
  if (n == "to_ids") return Column::to_ids;
  if (const std::string k = kind_of(n); event::parse_kind(k) || k == "hash") return Column::of_kind;
  return Column::other;
}

// RFC 4180 with any one separator; a quote inside an unquoted field is a character. False at the end of the text.
class Rows {
 public:
  Rows(std::string_view text, char separator) : text_(text), separator_(separator) {}
  std::uint64_t line() const { return row_line_; }
  bool unclosed() const { return unclosed_; }
  bool too_long() const { return too_long_; }
  bool next(std::vector<std::string>& row) {
    row.clear();
    unclosed_ = too_long_ = false;
    if (at_ >= text_.size()) return false;
    row_line_ = line_;
    std::string field;
    bool quoted = false, was_quoted = false;
    const auto push = [&] {
      if (row.size() < kMostColumns) row.push_back(std::move(field));
      else too_long_ = true;
      field.clear();
      was_quoted = false;
    };
    for (;; ++at_) {
      if (at_ >= text_.size()) {
        unclosed_ = quoted;
        push();
        return true;
      }
      const char c = text_[at_];
      if (c == '\n') ++line_;
      if (quoted) {
        if (c == '"' && at_ + 1 < text_.size() && text_[at_ + 1] == '"') {
          field += '"';
          ++at_;
        } else if (c == '"') {
          quoted = false;
        } else {
          field += c;
        }
      } else if (c == '"' && !was_quoted && trim(field).empty()) {
        quoted = was_quoted = true;
        field.clear();
      } else if (c == separator_) {
        push();
      } else if (c == '\n') {
        if (!field.empty() && field.back() == '\r') field.pop_back();
        ++at_;
        push();
        return true;
      } else {
        field += c;
      }
      if (field.size() > kLongestField) {  // an open quote must not swallow the rest of the file
        too_long_ = true;
        field.clear();
        quoted = false;
        const auto end = text_.find('\n', at_);
        if (end == std::string_view::npos) {
          at_ = text_.size();
        } else {
          at_ = end + 1;
          ++line_;
        }
        return true;
      }
    }
  }

 private:
  std::string_view text_;
  char separator_;
  std::size_t at_ = 0;
  std::uint64_t line_ = 1, row_line_ = 1;
  bool unclosed_ = false, too_long_ = false;
};

char separator_of(std::string_view header) {
  char best = ',';
  for (char c : {',', ';', '\t', '|'})
    if (std::count(header.begin(), header.end(), c) > std::count(header.begin(), header.end(), best)) best = c;
  return best;
}

bool names_columns(std::string_view header) {
  std::vector<std::string> names;
  Rows(header, separator_of(header)).next(names);
  if (names.size() == 1) return column_of(names[0]) == Column::value;
  std::size_t kinds = 0;
  bool value = false, sure = false;
  for (const std::string& n : names) {
    value |= column_of(n) == Column::value;
    const bool of_kind = column_of(n) == Column::of_kind;
    kinds += of_kind ? 1 : 0;
    sure |= of_kind && is_sure(kind_of(n));
  }
  return value || sure || kinds == names.size();
}

// From the header on: the first line that is not empty and no comment, or the comment before it when that names the columns
// ("# id,dateadded,url,...").
std::string_view body_of(std::string_view text) {
  std::string_view named;
  for (;;) {
    const auto end = text.find('\n');
    const std::string_view line = trim(text.substr(0, end));
    if (!line.empty() && line[0] != '#') {
      const bool names = line.find_first_of(".:/") == std::string_view::npos && names_columns(line);  // not values
      return named.empty() || names ? text : named;
    }
    if (end == std::string_view::npos) return text;
    if (!line.empty()) {
      const std::size_t at = line.find_first_not_of("# \t");
      const std::string_view header = at == std::string_view::npos ? std::string_view{} : line.substr(at);
      const char separator = separator_of(header);
      // A sentence has commas too: its "columns" are no single words.
      const bool row = header.size() < 8192 && header.find(separator) != std::string_view::npos &&
                       header.find(std::string(1, separator) + " ") == std::string_view::npos && names_columns(header);
      named = row ? text.substr(static_cast<std::size_t>(header.data() - text.data())) : std::string_view{};
    }
    text.remove_prefix(end + 1);
  }
}

}  // namespace

bool looks_like_csv(std::string_view text) {
  text = body_of(text);
  return names_columns(text.substr(0, std::min(text.find('\n'), std::size_t{8192})));
}

void load_csv(std::string_view text, ListTarget& to) {
  const std::string_view body = body_of(text);
  const std::uint64_t skipped_lines = static_cast<std::uint64_t>(
      std::count(text.begin(), text.begin() + static_cast<std::ptrdiff_t>(text.size() - body.size()), '\n'));
  Rows rows(body, separator_of(body.substr(0, body.find('\n'))));
  std::vector<std::string> row;
  if (!rows.next(row)) return;
  std::vector<Column> columns;
  std::vector<std::string> names;
  bool has_value = false, beside_others = false;
  for (const std::string& n : row) {
    columns.push_back(column_of(n));
    names.push_back(kind_of(n));
    has_value |= columns.back() == Column::value;
    beside_others |= columns.back() != Column::of_kind;
  }
  while (rows.next(row)) {
    const std::string where = "line " + std::to_string(rows.line() + skipped_lines);
    if (row.size() == 1 && trim(row[0]).empty()) continue;
    if (!row.empty() && row[0].starts_with('#')) continue;
    if (rows.too_long() || rows.unclosed()) {
      to.refuse(rows.unclosed() ? "quote not closed" : "field longer than 64 KiB or more than 256 columns", where,
                row.empty() ? "" : row[0]);
      continue;
    }
    Indicator i = to.blank();
    std::string kind, value, bad;
    bool for_detection = true, allowed = false;
    for (std::size_t c = 0; c < row.size() && c < columns.size(); ++c) {
      const std::string_view field = trim(row[c]);
      if (field.empty()) continue;
      switch (columns[c]) {
        case Column::kind: kind = kind_of(field); break;
        case Column::value: value = field; break;
        case Column::source: i.source = field; break;
        case Column::confidence: {
          unsigned n = 101;
          const auto [end, error] = std::from_chars(field.data(), field.data() + field.size(), n);
          if (error != std::errc{} || end != field.data() + field.size() || n > 100) bad = "confidence is not 0..100";
          else i.confidence = static_cast<std::uint8_t>(n);
          break;
        }
        case Column::tlp:
          if (const auto tlp = event::parse_tlp(field)) i.tlp = *tlp;
          else i.tlp = event::Tlp::red;  // an unknown marking is read as the narrowest
          break;
        case Column::valid_from:
          if (!read_time(field, i.valid_from)) bad = "valid_from is no time";
          break;
        case Column::valid_until:
          if (!read_time(field, i.valid_until)) bad = "valid_until is no time";
          break;
        case Column::action:
          if (iequals(field, "allow") || iequals(field, "allowed")) allowed = true;
          else if (iequals(field, "alert") || iequals(field, "audit")) i.action = Action::watch;
          else if (const auto action = parse_action(to_lower(field))) i.action = *action;
          else bad = "action is not watch, warn, hold or block";
          break;
        case Column::comment: i.comment = field; break;
        case Column::to_ids: for_detection = field != "0" && !iequals(field, "false"); break;
        case Column::of_kind:
        case Column::other: break;
      }
    }
    if (!bad.empty()) {
      to.refuse(bad, where, value);
      continue;
    }
    if (!for_detection && to.options.only_to_ids) {
      to.skip("not for detection (to_ids is false)", where, value);
      continue;
    }
    if (allowed) {
      to.skip("allowed by its sender: no indicator", where, value);
      continue;
    }
    if (!has_value) {  // "md5,sha1,sha256": one indicator a filled column
      bool url = false;
      for (std::size_t c = 0; c < row.size() && c < columns.size(); ++c)
        url |=
            columns[c] == Column::of_kind && event::parse_kind(names[c]) == event::Kind::url && !trim(row[c]).empty();
      for (std::size_t c = 0; c < row.size() && c < columns.size(); ++c) {
        if (columns[c] != Column::of_kind || trim(row[c]).empty() || trim(row[c]) == "n/a") continue;
        if (beside_others && !is_sure(names[c])) continue;
        const auto k = event::parse_kind(names[c]);
        if (url && (k == event::Kind::domain || k == event::Kind::ipv4 || k == event::Kind::ipv6)) {
          to.skip("beside a URL: where that lies, which may be somebody else's", where, row[c]);
          continue;
        }
        if (auto o = event::canonical(names[c], event::refang(trim(row[c])))) {
          i.kind = o->kind;
          i.value = std::move(o->value);
          to.add(i, where);
        } else {
          to.refuse("not a value of kind " + names[c].substr(0, 40), where, row[c]);
        }
      }
      continue;
    }
    if (value.empty()) {
      to.refuse("value is missing", where, row.empty() ? "" : row[0]);
      continue;
    }
    if (kind == "pattern" || kind == "stix") {
      i.value = value;
      to.add(i, where);
      continue;
    }
    const auto add = [&](std::string_view k, std::string_view v) {
      if (k == "ip" && v.find(':') == v.rfind(':')) v = v.substr(0, v.find(':'));  // "192.0.2.1:443"
      const bool known = event::parse_kind(k).has_value() || iequals(k, "hash");
      auto o = k.empty() ? event::guess(v) : event::canonical(k, event::refang(v));
      if (!o) {
        to.refuse(k.empty() ? "kind is missing and cannot be told from the value"
                            : (known ? "not a value of kind " : "unknown kind ") + std::string(k.substr(0, 40)),
                  where, v);
        return;
      }
      i.kind = o->kind;
      i.value = std::move(o->value);
      to.add(i, where);
    };
    if (!kind.empty() && !event::parse_kind(kind) && misp_values(kind, value, add)) continue;
    add(kind, value);
  }
}

}  // namespace bavn::match::indicators
