#include <fmt/format.h>

#include <charconv>

#include "base/text.hpp"
#include "show/api/node/node.hpp"
#include "show/api/node/words.hpp"
#include "warn/case.hpp"

namespace bavn::show::api {

namespace {

using match::indicators::Indicator;

/// Of the whole set: the layer, and the place in it.
struct Place {
  std::uint64_t layer = 0, at = 0;
};
std::optional<Place> place_of(std::string_view text) {
  Place p;
  if (text.empty()) return p;
  const auto dot = text.find('.');
  const auto number = [](std::string_view s, std::uint64_t& n) {
    const auto [end, ec] = std::from_chars(s.data(), s.data() + s.size(), n);
    return ec == std::errc{} && end == s.data() + s.size();
  };
  if (dot == std::string_view::npos || !number(text.substr(0, dot), p.layer) || !number(text.substr(dot + 1), p.at))
    return std::nullopt;
  return p;
}

std::string json_of(const Indicator& i) {
  std::string out;
  JsonWriter w(out);
  w.object().member("kind", i.is_pattern() ? "pattern" : event::to_string(i.kind));
  w.member("value", shown(i.value, 2000)).member("defanged", warn::defanged(shown(i.value, 2000)));
  w.member("source", i.source).member("action", to_string(i.action));
  w.member("confidence", static_cast<std::int64_t>(i.confidence)).member("tlp", event::to_string(i.tlp));
  add_time(w, "valid_from", micros(i.valid_from));
  add_time(w, "valid_until", micros(i.valid_until));
  add_text(w, "comment", shown(i.comment, 2000));
  w.end();
  return out;
}

net::Reply list(const NodeParts& p, const net::Request& q) {
  const auto page = web::page_of(q, "indicators");
  if (!page) return net::problem(page.error());
  const auto place = place_of(page->after);
  if (!place) return net::problem(Error{Code::bad_input, "this cursor is none of ours", "?cursor"});
  std::optional<event::Kind> kind;
  if (const auto name = q.asked("kind"); name && !name->empty()) {
    kind = event::parse_kind(*name);
    if (!kind) return net::problem(Error{Code::bad_input, "there is no such kind of observable", "?kind"});
  }
  const std::string source(q.asked("source").value_or(""));
  if (q.asked("q").value_or("").size() > 2000)
    return net::problem(Error{Code::bad_input, "that is too long to look for", "?q"});
  // As people write it: defanged, with a scheme, in capitals.
  std::string begins = to_lower(event::refang(trim(q.asked("q").value_or(""))));
  for (const std::string_view scheme : {"https://", "http://"})
    if (begins.starts_with(scheme)) begins.erase(0, scheme.size());
  const auto ceiling = q.scope.ceiling();
  const auto wanted = [&](const Indicator& i) {
    return i.tlp <= ceiling && (!kind || (!i.is_pattern() && i.kind == *kind)) &&
           (source.empty() || i.source == source) &&
           (begins.empty() ||
            (i.value.size() >= begins.size() && iequals(std::string_view(i.value).substr(0, begins.size()), begins)));
  };
  const auto engine = p.engine();
  const auto snapshot = engine->indicators().snapshot();
  std::vector<std::string> items;
  std::optional<std::string> next;
  for (std::size_t layer = place->layer; layer < snapshot->layers.size() && !next; ++layer) {
    const auto& base = *snapshot->layers[layer];
    const std::uint64_t from = layer == place->layer ? place->at : 0;
    const std::uint64_t end = base.walk(from, [&](const Indicator& i) {
      if (layer == 0 && snapshot->removed &&
          (snapshot->removed->contains({i.kind, i.value, i.source}) ||
           snapshot->removed->contains({i.kind, i.value, {}})))
        return true;
      if (wanted(i)) items.push_back(json_of(i));
      return items.size() < page->limit;
    });
    if (items.size() >= page->limit && (end < base.end_place() || layer + 1 < snapshot->layers.size()))
      next = web::cursor_of("indicators", fmt::format("{}.{}", layer, end));
  }
  std::string out;
  JsonWriter w(out);
  w.object().key("items").array();
  for (const auto& i : items) w.raw(i);
  w.end().member("total", static_cast<std::uint64_t>(snapshot->size()));
  if (next) w.member("next", *next);
  w.end();
  return net::json(out);
}

}  // namespace

void add_indicator_routes(net::Router& router, const Parts& parts) {
  router.get("/api/node/indicators", net::Needs::indicator_read,
             [parts](const net::Request& q) { return list(*parts, q); });
}

}  // namespace bavn::show::api
