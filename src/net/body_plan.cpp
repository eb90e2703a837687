#include "net/body_plan.hpp"

#include <fmt/format.h>

#include <charconv>
#include <string_view>

#include "base/text.hpp"

namespace bavn::net {

namespace {

std::optional<std::uint64_t> number(std::string_view s) {
  std::uint64_t n = 0;
  const auto [end, ec] = std::from_chars(s.data(), s.data() + s.size(), n);
  if (s.empty() || ec != std::errc() || end != s.data() + s.size()) return std::nullopt;
  return n;
}

// True when the list of If-None-Match has this tag; weak comparison (RFC 9110 section 8.8.3.2).
bool lists(std::string_view header, std::string_view tag) {
  const auto strong = [](std::string_view t) { return t.starts_with("W/") ? t.substr(2) : t; };
  if (trim(header) == "*") return true;
  for (const std::string_view one : split(header, ','))
    if (strong(trim(one)) == strong(tag)) return true;
  return false;
}

struct Range {
  std::uint64_t first, last;
};

// Nothing: no range to serve, send all. first > last: cannot be satisfied.
std::optional<Range> range_of(std::string_view header, std::uint64_t size) {
  if (!header.starts_with("bytes=")) return std::nullopt;
  const std::string_view spec = trim(header.substr(6));
  const std::size_t dash = spec.find('-');
  if (dash == std::string_view::npos || spec.find(',') != std::string_view::npos) return std::nullopt;
  const std::string_view from = spec.substr(0, dash), to = spec.substr(dash + 1);
  if (from.empty()) {
    const auto count = number(to);
    if (!count) return std::nullopt;
    if (*count == 0 || size == 0) return Range{1, 0};
    return Range{*count >= size ? 0 : size - *count, size - 1};
  }
  const auto first = number(from);
  const auto last = to.empty() ? std::optional(UINT64_MAX) : number(to);
  if (!first || !last || *last < *first) return std::nullopt;
  if (*first >= size) return Range{1, 0};
  return Range{*first, std::min(*last, size - 1)};
}

}  // namespace

BodyPlan plan_body(const Request& request, Reply& reply, std::uint64_t size) {
  BodyPlan all{0, size};
  if (reply.status != 200 || (request.method != Method::get && request.method != Method::head)) return all;
  const std::string* found = reply.headers.find("ETag");
  const std::optional<std::string> tag = found ? std::optional(*found) : std::nullopt;  // headers are set below
  if (const std::string* none = request.headers.find("If-None-Match"); tag && none && lists(*none, *tag)) {
    reply.status = 304;
    return {};
  }
  if (!reply.file) return all;
  reply.headers.set("Accept-Ranges", "bytes");
  const std::string* asked = request.headers.find("Range");
  if (!asked) return all;
  // If-Range: the rest of another version would be nonsense.
  if (const std::string* version = request.headers.find("If-Range"); version && (!tag || *version != *tag)) return all;
  const auto range = range_of(*asked, size);
  if (!range) return all;
  if (range->first > range->last) {
    reply.status = 416;
    reply.headers.set("Content-Range", fmt::format("bytes */{}", size));
    return {};
  }
  reply.status = 206;
  reply.headers.set("Content-Range", fmt::format("bytes {}-{}/{}", range->first, range->last, size));
  return {range->first, range->last - range->first + 1};
}

Request asked_of(const Request& request) {
  Request kept;
  kept.method = request.method;
  for (const char* name : {"If-None-Match", "Range", "If-Range"})
    if (const std::string* value = request.headers.find(name)) kept.headers.set(name, *value);
  return kept;
}

}  // namespace bavn::net
