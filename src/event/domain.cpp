#include "event/domain.hpp"

#include <libpsl.h>

#include <algorithm>
#include <cstring>

#include "base/hash.hpp"

namespace bavn::event {

namespace {

constexpr std::size_t kLongestName = 255;

// Reserved or widespread in local networks, in no public suffix list.
constexpr std::string_view kLocalTlds[] = {"arpa",        "corp",      "example", "home",    "internal",
                                           "intern",      "intra",     "invalid", "lan",     "local",
                                           "localdomain", "localhost", "onion",   "private", "test"};

}  // namespace

std::string_view registrable_domain(std::string_view domain) {
  if (domain.size() > kLongestName || domain.find('.') == std::string_view::npos) return {};
  char name[kLongestName + 1];
  std::memcpy(name, domain.data(), domain.size());
  name[domain.size()] = 0;
  const char* found = psl_registrable_domain(psl_builtin(), name);
  return found == nullptr ? std::string_view{} : domain.substr(static_cast<std::size_t>(found - name));
}

bool has_known_tld(std::string_view domain) {
  const auto dot = domain.rfind('.');
  const std::string_view tld = dot == std::string_view::npos ? domain : domain.substr(dot + 1);
  if (tld.size() < 2 || tld.size() > 63) return false;
  char name[64];
  std::memcpy(name, tld.data(), tld.size());
  name[tld.size()] = 0;
  if (psl_is_public_suffix2(psl_builtin(), name, PSL_TYPE_ICANN | PSL_TYPE_NO_STAR_RULE) != 0) return true;
  return std::find(std::begin(kLocalTlds), std::end(kLocalTlds), tld) != std::end(kLocalTlds);
}

struct DomainCache::Entry {
  std::uint8_t length = 0;  // 0: empty entry; longer names are not cached
  std::uint8_t registrable = 0;
  char name[54];
};

DomainCache::DomainCache() : entries_(new Entry[2048]) {}
DomainCache::~DomainCache() {
  delete[] entries_;
}

std::string_view DomainCache::registrable_domain(std::string_view domain) {
  if (domain.empty() || domain.size() > sizeof(Entry::name)) return event::registrable_domain(domain);
  Entry& e = entries_[hash64(domain) % 2048];
  if (e.length != domain.size() || std::memcmp(e.name, domain.data(), domain.size()) != 0) {
    e.registrable = static_cast<std::uint8_t>(event::registrable_domain(domain).size());
    e.length = static_cast<std::uint8_t>(domain.size());
    std::memcpy(e.name, domain.data(), domain.size());
  }
  return domain.substr(domain.size() - e.registrable);
}

}  // namespace bavn::event
