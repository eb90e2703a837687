#pragma once
// The canonical forms of observable.hpp, one function each, for the extractor: `out` is cleared and written, its memory is kept, so
// nothing is allocated for ASCII values once it has grown. False: the value is none (out is then unspecified).
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace bavn::event {

enum class UrlHost : std::uint8_t { name, ipv4, ipv6 };
struct UrlParts {
  UrlHost kind = UrlHost::name;
  std::size_t host_begin = 0, host_end = 0;  // in the canonical URL; IPv6 without brackets
};

bool canonical_domain(std::string_view in, std::string& out);
/// any_host: a value without scheme is taken as a URL whatever its host looks like; otherwise the host must be an address or end in
/// a known top-level domain. At most 8 KiB.
bool canonical_url(std::string_view in, std::string& out, UrlParts& parts, bool any_host);
bool canonical_email(std::string_view in, std::string& out, std::size_t& domain_begin);
bool canonical_file_name(std::string_view in, std::string& out);

}  // namespace bavn::event
