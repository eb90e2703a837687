#pragma once
// What lies above a name: parent domains down to the registrable one (public suffix list of libpsl), and URL prefixes.
// All names here are canonical (observable.hpp). Functions are thread-safe; DomainCache belongs to one thread.
#include <cstdint>
#include <string>
#include <string_view>

namespace bavn::event {

/// "a.b.evil.co.uk" -> "evil.co.uk". Empty for a public suffix itself ("co.uk", "github.io") and for single labels.
/// Top-level domains that nobody delegates (.test, .lan) count as suffixes of one label.
std::string_view registrable_domain(std::string_view domain);
/// Is the last label a top-level domain in use (or one reserved for tests and local names, RFC 2606, 6761, 7686)?
bool has_known_tld(std::string_view domain);

/// The same with a direct-mapped cache of 2,048 names, 112 KiB.
class DomainCache {
 public:
  DomainCache();
  ~DomainCache();
  DomainCache(const DomainCache&) = delete;
  DomainCache& operator=(const DomainCache&) = delete;
  std::string_view registrable_domain(std::string_view domain);

 private:
  struct Entry;
  Entry* entries_;
};

/// Calls f(name) for the domain itself, then each parent down to `registrable` (itself included). f returns false to stop.
template <class F>
void for_each_parent(std::string_view domain, std::string_view registrable, F&& f) {
  for (;;) {
    if (!f(domain)) return;
    if (domain.size() <= registrable.size() || registrable.empty()) return;
    const auto dot = domain.find('.');
    if (dot == std::string_view::npos) return;
    domain.remove_prefix(dot + 1);
  }
}
template <class F>
void for_each_parent(std::string_view domain, F&& f) {
  for_each_parent(domain, registrable_domain(domain), f);
}

constexpr unsigned kUrlDepths = 32;

/// Where a canonical URL's path starts (the index of its first '/').
inline std::size_t url_path_begin(std::string_view url) {
  const auto scheme = url.find("://");
  const auto first = url.find('/');
  return scheme != std::string_view::npos && scheme + 1 == first ? url.find('/', scheme + 3) : first;
}

/// Calls f(prefix, depth) for a canonical URL: the whole of it, without its query, then cut at each '/' of the path, longest first,
/// ending with "host/". depth: path segments in the prefix, 0 for "host/", kUrlDepths - 1 for the whole URL when it has a query
/// (an indicator with a query matches that query only) or more than 30 segments; cuts are made in the first 30. f returns false to stop.
/// "bio.link/orbes" is a prefix of "bio.link/orbes?x=1" and "bio.link/orbes/a", not of "bio.link/orbesity".
template <class F>
void for_each_url_prefix(std::string_view url, F&& f) {
  const std::size_t begin = url_path_begin(url);
  if (begin == std::string_view::npos) return;
  std::size_t end = url.find('?', begin);
  if (end != std::string_view::npos) {
    if (!f(url, kUrlDepths - 1)) return;
  } else {
    end = url.size();
  }
  while (end > begin + 1 && url[end - 1] == '/') --end;
  unsigned depth = 0;
  if (end > begin + 1) {
    depth = 1;
    for (std::size_t i = begin + 1; i < end; ++i)
      if (url[i] == '/' && url[i - 1] != '/' && ++depth == kUrlDepths - 1) {
        if (end == url.size() && !f(url, kUrlDepths - 1)) return;
        end = i;
        --depth;
        break;
      }
  }
  for (; depth > 0; --depth) {
    if (!f(url.substr(0, end), depth)) return;
    while (end > begin + 1 && url[end - 1] != '/') --end;
    while (end > begin + 1 && url[end - 1] == '/') --end;
  }
  f(url.substr(0, begin + 1), 0U);
}

}  // namespace bavn::event
