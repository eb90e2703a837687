#include "warn/never_block.hpp"

#include <fmt/format.h>

#include "base/content.hpp"
#include "base/text.hpp"
#include "event/domain.hpp"
#include "event/ip.hpp"

namespace bavn::warn {

namespace {

constexpr unsigned kWidestV4 = 24, kWidestV6 = 48;  // wider networks hold too many strangers

Result<void> read_list(std::string_view file, std::map<std::string, std::string, std::less<>>& into) {
  const auto text = content::file(fmt::format("content/never_block/{}.txt", file));
  if (!text) return fail(Code::corrupt, "a list of what is never blocked is missing", std::string(file));
  for (const std::string_view line : split(*text, '\n')) {
    const std::string_view name = trim(line.substr(0, line.find('#')));
    if (name.empty()) continue;
    const auto known = event::canonical(event::Kind::domain, name);
    if (!known) return fail(Code::corrupt, "this is no name", fmt::format("{}: {}", file, name));
    into.emplace(known->value, file);
  }
  return {};
}

/// Itself, or the nearest name above it that is in the list.
const std::pair<const std::string, std::string>* at_or_above(
    const std::map<std::string, std::string, std::less<>>& names, std::string_view name) {
  while (!name.empty()) {
    if (const auto at = names.find(name); at != names.end()) return &*at;
    const auto dot = name.find('.');
    name = dot == std::string_view::npos ? std::string_view() : name.substr(dot + 1);
  }
  return nullptr;
}

bool below(std::string_view name, std::string_view parent) {
  return name.size() > parent.size() && name.ends_with(parent) && name[name.size() - parent.size() - 1] == '.';
}

}  // namespace

Result<NeverBlock> NeverBlock::open(std::vector<std::string> member_domains) {
  NeverBlock n;
  BAVN_CHECK(read_list("services", n.names_));
  BAVN_CHECK(read_list("shared_hosts", n.shared_));
  for (const std::string& domain : member_domains)
    if (const auto known = event::canonical(event::Kind::domain, domain)) n.names_[known->value] = "members";
  return n;
}

bool NeverBlock::shared_host(std::string_view host) const {
  return at_or_above(shared_, host) != nullptr;
}

std::optional<Refusal> NeverBlock::check(const event::Observable& what) const {
  using event::Kind;
  const auto name = [&](std::string_view host, bool with_path) -> std::optional<Refusal> {
    if (const auto* hit = at_or_above(names_, host))
      return Refusal{fmt::format("{} belongs to {}, which is never blocked ({})", host, hit->first, hit->second), ""};
    for (const auto& [known, list] : names_)
      if (below(known, host))
        return Refusal{fmt::format("{} would take {} with it, which is never blocked ({})", host, known, list), ""};
    if (with_path) return std::nullopt;
    if (event::registrable_domain(host).empty())
      return Refusal{fmt::format("{} is a public suffix: everybody below it would be hit", host), "name one domain"};
    if (const auto* hit = at_or_above(shared_, host))
      return Refusal{fmt::format("many strangers have pages on {}", hit->first), "block the address with its path"};
    return std::nullopt;
  };
  switch (what.kind) {
    case Kind::domain:
    case Kind::mail_domain: return name(what.value, false);
    case Kind::url: {
      const std::string_view host = event::url_host(what.value);
      const std::string_view rest = std::string_view(what.value).substr(what.value.find(host) + host.size());
      return name(host, rest.contains('/') && rest.size() > 1);
    }
    case Kind::ipv4:
    case Kind::ipv6:
    case Kind::cidr: {
      const auto network = event::parse_cidr(what.value);
      const unsigned prefix = network ? network->prefix : 128;
      const unsigned widest = network && network->network.v6 ? kWidestV6 : kWidestV4;
      if (network && prefix < widest)
        return Refusal{fmt::format("{} is wider than /{}", what.value, widest), "name smaller networks"};
      return std::nullopt;
    }
    default: return std::nullopt;
  }
}

}  // namespace bavn::warn
