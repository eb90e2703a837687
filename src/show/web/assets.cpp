#include "show/web/assets.hpp"

#include <array>
#include <span>

#include "base/text.hpp"
#include "net/content_coding.hpp"
#include "show/web/answers.hpp"

namespace bavn::show::web {

namespace detail {
extern const Packed packed[];  // the contract, the style of pages
extern const unsigned packed_count;
extern const Packed packed_app[] __attribute__((weak));  // part of the program alone, and not of each test
extern const unsigned packed_app_count __attribute__((weak));
}  // namespace detail

namespace {

constexpr std::string_view kFirstPage = "/index.html";
// Paths of programs: an unknown one is a problem, never a page.
constexpr std::array<std::string_view, 7> kNotPages{"/api/",      "/lists/", "/confirm", "/sign-in",
                                                    "/problems/", "/pages/", "/assets/"};

const detail::Packed* find(std::string_view url) {
  for (const detail::Packed& p : std::span(detail::packed, detail::packed_count))
    if (url == p.url) return &p;
  if (&detail::packed_app_count != nullptr)
    for (const detail::Packed& p : std::span(detail::packed_app, detail::packed_app_count))
      if (url == p.url) return &p;
  return nullptr;
}

bool reads_gzip(const net::Request& q) {
  const std::string* accept = q.headers.find("Accept-Encoding");
  if (accept == nullptr) return false;
  for (const std::string_view each : split(*accept, ',')) {
    const std::string_view coding = trim(each.substr(0, each.find(';')));
    if (!iequals(coding, "gzip") && coding != "*") continue;
    const auto weight = each.find("q=0");
    return weight == std::string_view::npos || each.find_first_of("123456789", weight) != std::string_view::npos;
  }
  return false;
}

bool wants_page(const net::Request& q) {
  const std::string* accept = q.headers.find("Accept");
  return accept != nullptr && accept->find("text/html") != std::string::npos;
}

}  // namespace

bool has_app() {
  return find(kFirstPage) != nullptr;
}

std::optional<net::Reply> asset(const net::Request& q, std::string_view url) {
  const detail::Packed* p = find(url);
  if (p == nullptr) return std::nullopt;
  net::Reply reply;
  if (auto same = unchanged(q, p->etag)) {
    reply = std::move(*same);
  } else {
    const std::string_view packed(p->begin, static_cast<std::size_t>(p->end - p->begin));
    reply = net::text({}, p->type);
    reply.headers.set("ETag", p->etag);
    if (reads_gzip(q)) {
      reply.headers.set("Content-Encoding", "gzip");
      reply.body = packed;
    } else {
      auto whole = net::gunzip(packed, p->size + 1);
      if (!whole) return net::problem(whole.error());
      reply.body = std::move(*whole);
    }
  }
  reply.headers.set("Vary", "Accept-Encoding");
  // Vite names what it makes by its content; the rest is asked for again each time, and mostly answered 304.
  reply.headers.set("Cache-Control", url.starts_with("/assets/") ? "public, max-age=31536000, immutable" : "no-cache");
  return reply;
}

std::optional<net::Reply> otherwise(const net::Request& q, const std::function<net::Reply(const net::Request&)>& home) {
  if (q.path != kFirstPage)
    if (auto file = asset(q, q.path)) return file;
  if (q.path == "/" && !has_app() && home) return home(q);
  if (!wants_page(q)) return q.path == "/" && has_app() ? asset(q, kFirstPage) : std::nullopt;
  for (const std::string_view each : kNotPages)
    if (q.path.starts_with(each)) return std::nullopt;
  return asset(q, kFirstPage);
}

}  // namespace bavn::show::web
