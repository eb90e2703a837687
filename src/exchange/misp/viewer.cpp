#include "exchange/misp/viewer.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "base/json_writer.hpp"
#include "base/text.hpp"
#include "event/observable.hpp"

namespace bavn::exchange::misp {

Viewer Viewer::of(const event::Scope& scope, std::string_view own_name) {
  Viewer v;
  v.who = scope.who();
  v.name = std::string(own_name);
  v.reads = scope.may(event::Right::indicator_read);
  v.writes = scope.may(event::Right::indicator_write);
  v.publishes = scope.may(event::Right::publish);
  v.ceiling = scope.ceiling();
  return v;
}

Viewer Viewer::of(const Partner& p) {
  Viewer v;
  v.who = fmt::format("partner:{}", p.name);
  v.peer = p.peer;
  v.name = p.name;
  v.reads = p.may_read;
  v.writes = v.publishes = p.may_write;
  v.ceiling = p.ceiling;
  v.kinds = p.kinds;
  v.sectors = p.sectors;
  return v;
}

bool Viewer::may_have_type(std::string_view type) const {
  if (kinds.empty()) return true;
  for (const std::string_view part : split(type, '|'))
    if (const auto kind = event::parse_kind(part))
      if (std::find(kinds.begin(), kinds.end(), event::to_string(*kind)) == kinds.end()) return false;
  return true;
}

std::string viewer_json(const Viewer& v) {
  std::string out;
  JsonWriter w(out);
  w.object().member("who", v.who).member("c", static_cast<int>(v.ceiling)).key("s").array();
  for (const auto& s : v.sectors) w.value(s);
  w.end().end();
  return out;
}

std::string event_visible(const Viewer& v) {
  // A key that only writes sees what it wrote.
  if (!v.reads) return "e.whole = 1 AND e.owner = json_extract(:q, '$.v.who')";
  std::string sql = "e.whole = 1 AND (e.owner = json_extract(:q, '$.v.who') OR (e.tlp <= json_extract(:q, '$.v.c')";
  if (v.partner())
    sql +=
        " AND e.published = 1 AND e.closed = 0 AND (e.sectors = '[]' OR EXISTS (SELECT 1 FROM json_each(e.sectors) x "
        "JOIN json_each(:q, '$.v.s') y ON y.value = x.value))";
  return sql + "))";
}

std::string part_visible(const Viewer& v, std::string_view alias, bool has_tlp) {
  if (!has_tlp && !v.partner()) return ":q IS NOT NULL";
  std::string sql = "(e.owner = json_extract(:q, '$.v.who') OR (1";
  if (has_tlp) sql += fmt::format(" AND {}.tlp <= json_extract(:q, '$.v.c')", alias);
  if (v.partner()) sql += fmt::format(" AND {}.closed = 0", alias);
  return sql + "))";
}

std::string sighting_visible(const Viewer& v, std::string_view alias) {
  std::string sql = fmt::format("{}.tlp <= json_extract(:q, '$.v.c')", alias);
  if (v.partner()) sql += fmt::format(" AND {}.inside = 0", alias);
  return sql;
}

std::vector<std::string> sectors_of_tags(const std::vector<std::string>& tags) {
  std::vector<std::string> out;
  for (const std::string& tag : tags) {
    const auto is = tag.find("=\"");
    if (is == std::string::npos || !tag.ends_with('"')) continue;
    const std::string_view front = std::string_view(tag).substr(0, is);
    if (!front.ends_with(":sector") && !front.ends_with(":sectors")) continue;
    out.push_back(to_lower_utf8(std::string_view(tag).substr(is + 2, tag.size() - is - 3)));
  }
  std::sort(out.begin(), out.end());
  out.erase(std::unique(out.begin(), out.end()), out.end());
  return out;
}

}  // namespace bavn::exchange::misp
