#include "warn/never_block.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>

#include "base/content.hpp"
#include "base/text.hpp"
#include "event/domain.hpp"

namespace bavn::warn {

namespace {

using event::Kind;

constexpr unsigned kWidestV4 = 24, kWidestV6 = 48;  // wider networks hold too many strangers
constexpr std::size_t kShortestMessageId = 10;      // a shorter one could be anybody's

/// Of the empty file: every scanner and every mailbox has it.
constexpr std::array<std::string_view, 3> kEmptyFile = {
    "d41d8cd98f00b204e9800998ecf8427e", "da39a3ee5e6b4b0d3255bfef95601890afd80709",
    "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"};
/// RFC 2142, and what every mail server sends as.
constexpr std::array<std::string_view, 6> kEveryServers = {"postmaster", "mailer-daemon", "abuse",
                                                           "hostmaster", "security",      "root"};

/// Calls f(what is in the line, its comment) for each line that is not empty.
template <class F>
Result<void> each_line(std::string_view file, F&& f) {
  const auto text = content::file(fmt::format("content/never_block/{}.txt", file));
  if (!text) return fail(Code::corrupt, "a list of what is never blocked is missing", std::string(file));
  for (const std::string_view line : split(*text, '\n')) {
    const auto hash = line.find('#');
    const std::string_view entry = trim(line.substr(0, hash));
    if (entry.empty()) continue;
    BAVN_CHECK(f(entry, hash == std::string_view::npos ? std::string_view() : trim(line.substr(hash + 1))));
  }
  return {};
}

/// A name of at least one label: "cloud.microsoft", but also "microsoft" and "arpa".
std::optional<std::string> name_of(std::string_view text) {
  if (const auto known = event::canonical(Kind::domain, text); known && known->kind == Kind::domain)
    return known->value;
  const bool label = !text.empty() && text.size() <= 63 && text.front() != '-' && std::ranges::all_of(text, [](char c) {
    return (c >= 'a' && c <= 'z') || ascii_digit(c) || c == '-';
  });
  return label ? std::optional(std::string(text)) : std::nullopt;
}

std::string backwards(std::string_view name) {
  std::string out(name.rbegin(), name.rend());
  return out;
}

/// The name itself, then each parent, down to the single label. f returns true to stop.
template <class F>
void up(std::string_view name, F&& f) {
  while (!name.empty()) {
    if (f(name)) return;
    const auto dot = name.find('.');
    name = dot == std::string_view::npos ? std::string_view() : name.substr(dot + 1);
  }
}

bool inside(const event::Cidr& inner, const event::Cidr& outer) {
  return inner.network.v6 == outer.network.v6 && inner.prefix >= outer.prefix &&
         event::masked(inner.network, outer.prefix) == outer.network;
}

std::string_view words_for(std::string_view list) {
  if (list == "state") return "a service of the state";
  if (list == "services") return "what a municipality runs on";
  if (list == "members") return "a member's domain";
  return list;
}

}  // namespace

bool can_be_listed(Kind kind) {
  switch (kind) {
    case Kind::domain:
    case Kind::url:
    case Kind::ipv4:
    case Kind::ipv6:
    case Kind::cidr:
    case Kind::md5:
    case Kind::sha1:
    case Kind::sha256:
    case Kind::email:
    case Kind::mail_domain:
    case Kind::message_id: return true;
    default: return false;
  }
}

Result<void> NeverBlock::add_network(std::string_view text, std::string whose) {
  auto cidr = event::parse_cidr(text);
  if (!cidr) {
    const auto ip = event::parse_ip(text);
    if (!ip) return fail(Code::corrupt, "this is no network", std::string(text));
    cidr = event::Cidr{*ip, static_cast<std::uint8_t>(ip->width())};
  }
  networks_.push_back({*cidr, std::string(text), std::move(whose)});
  return {};
}

void NeverBlock::index() {
  for (const Names* names : {&members_, &never_, &customers_, &shared_hosts_})
    for (const auto& [name, list] : *names) backwards_.emplace(backwards(name) + ".", name);
}

Result<NeverBlock> NeverBlock::open(std::vector<std::string> member_domains, std::vector<std::string> own_networks) {
  NeverBlock n;
  const auto names = [](std::string_view file, Names& into) {
    return each_line(file, [&](std::string_view entry, std::string_view) -> Result<void> {
      const auto name = name_of(entry);
      if (!name) return fail(Code::corrupt, "this is no name", fmt::format("{}: {}", file, entry));
      into.emplace(*name, file);
      return {};
    });
  };
  BAVN_CHECK(names("state", n.never_));
  BAVN_CHECK(names("services", n.never_));
  BAVN_CHECK(names("suffixes", n.customers_));
  BAVN_CHECK(names("free_mail", n.free_mail_));
  BAVN_CHECK(each_line("shared_hosts", [&](std::string_view entry, std::string_view) -> Result<void> {
    const auto slash = entry.find('/');
    const auto host = name_of(entry.substr(0, slash));
    if (!host) return fail(Code::corrupt, "this is no host", fmt::format("shared_hosts: {}", entry));
    n.shared_hosts_.emplace(*host, "shared_hosts");
    std::string prefix = *host + (slash == std::string_view::npos ? "/" : to_lower(entry.substr(slash)));
    if (!prefix.ends_with('/')) prefix += '/';
    n.shared_.emplace(std::move(prefix), "shared_hosts");
    n.shared_.emplace(*host + "/", "shared_hosts");
    return {};
  }));
  BAVN_CHECK(each_line("generic_paths", [&](std::string_view entry, std::string_view) -> Result<void> {
    n.generic_.emplace(to_lower(entry), "generic_paths");
    return {};
  }));
  BAVN_CHECK(each_line("networks", [&](std::string_view entry, std::string_view whose) {
    return n.add_network(entry, std::string(whose.empty() ? "Microsoft 365" : whose));
  }));
  for (const std::string& domain : member_domains) {
    const auto known = event::canonical(Kind::domain, domain);
    if (known && known->kind == Kind::domain && !event::registrable_domain(known->value).empty())
      n.members_.emplace(known->value, "members");
    else n.left_out_.push_back(domain);
  }
  n.index();
  return n.with_networks(own_networks);
}

NeverBlock NeverBlock::with_networks(const std::vector<std::string>& more) const {
  NeverBlock n = *this;
  for (const std::string& network : more)
    if (!trim(network).empty() && !n.add_network(trim(network), "of this municipality")) n.left_out_.push_back(network);
  return n;
}

NeverBlock::Verdict NeverBlock::nearest(std::string_view host) const {
  Verdict found;
  const auto take = [&](Rule rule, const Names::value_type& entry) {
    found = {rule, entry.first, entry.second};
    return true;
  };
  // A member's name is a member's, however it is hosted.
  up(host, [&](std::string_view name) {
    const auto at = members_.find(name);
    return at != members_.end() && take(Rule::never, *at);
  });
  if (found.rule != Rule::free) return found;
  const std::string_view registrable = event::registrable_domain(host);
  up(host, [&](std::string_view name) {
    if (const auto at = customers_.find(name); at != customers_.end()) return take(Rule::customers, *at);
    if (const auto at = never_.find(name); at != never_.end()) return take(Rule::never, *at);
    if (const auto at = shared_hosts_.find(name); at != shared_hosts_.end()) return take(Rule::shared, *at);
    // A provider's suffix in the public list, below one of our names: what is below it is a customer's.
    if (!registrable.empty() && name.size() == registrable.size()) {
      const auto dot = name.find('.');
      if (dot != std::string_view::npos && !never_.contains(name.substr(dot + 1)) &&
          !shared_hosts_.contains(name.substr(dot + 1)))
        return true;  // nothing above the registrable domain is anybody's list entry but a suffix
    }
    return false;
  });
  return found;
}

std::optional<Refusal> NeverBlock::check_below(std::string_view host) const {
  const std::string start = backwards(host) + ".";
  auto at = backwards_.upper_bound(start);
  if (at == backwards_.end() || !at->first.starts_with(start)) return std::nullopt;
  return Refusal{fmt::format("{} would take {} with it, which is never blocked", host, at->second),
                 "name what is meant more exactly"};
}

std::optional<Refusal> NeverBlock::check_host(std::string_view host) const {
  const Verdict v = nearest(host);
  if (v.rule == Rule::never)
    return Refusal{fmt::format("{} is {} ({}), which is never blocked", host, words_for(v.list), v.name), ""};
  if (v.rule == Rule::shared)
    return Refusal{fmt::format("many strangers have pages on {}", v.name), "block the address with its path"};
  if (v.rule == Rule::customers && v.name == host)
    return Refusal{fmt::format("each customer of {} has a name below it", host), "block the customer's name"};
  if (auto below = check_below(host)) return below;
  if (event::registrable_domain(host).empty())
    return Refusal{fmt::format("{} is a public suffix: everybody below it would be hit", host), "name one domain"};
  return std::nullopt;
}

std::optional<Refusal> NeverBlock::check_url(std::string_view url) const {
  const std::string_view host = event::url_host(url);
  if (host.empty()) return Refusal{"this address has no host", ""};
  const std::size_t path_at = event::url_path_begin(url);
  const std::string_view rest = path_at == std::string_view::npos ? "/" : url.substr(path_at);
  const bool has_query = rest.contains('?');
  std::string path = to_lower(rest.substr(0, rest.find('?')));
  if (!path.ends_with('/')) path += '/';
  if (event::parse_ip(host)) return check_network(host);
  if (path == "/" && !has_query) return check_host(host);
  const Verdict v = nearest(host);
  const bool of_state = v.rule == Rule::never && v.list != "services";
  if (of_state)
    return Refusal{fmt::format("{} is {} ({}), which is never blocked", host, words_for(v.list), v.name), ""};
  // What many share: the address must be longer than the longest prefix that is everybody's.
  std::string_view shared;  // the part of `path` that is
  up(host, [&](std::string_view name) {
    if (!shared_hosts_.contains(name)) return false;
    for (std::size_t end = path.size(); end > 0; end = path.rfind('/', end - 2) + 1) {
      if (shared_.contains(std::string(name) + path.substr(0, end))) {
        shared = std::string_view(path).substr(0, end);
        return true;
      }
      if (end == 1) break;
    }
    return true;
  });
  if (shared.empty() && v.rule == Rule::never)
    return Refusal{fmt::format("{} is {} ({}), which is never blocked", host, words_for(v.list), v.name), ""};
  if (shared.empty() && v.rule == Rule::customers && v.name == host) shared = std::string_view(path).substr(0, 1);
  if (shared == "/" && path == "/" && has_query)
    return Refusal{fmt::format("many strangers have pages on {}", host), "name the one page"};
  if (shared.empty() || has_query) return std::nullopt;
  if (v.rule == Rule::never && shared == "/")  // google.com/url is shared, google.com/other is Google's
    return Refusal{fmt::format("{} is {} ({}), which is never blocked", host, words_for(v.list), v.name), ""};
  const std::string_view own = std::string_view(path).substr(shared.size());
  if (own.empty()) return Refusal{fmt::format("many strangers have pages at {}{}", host, shared), "name the one page"};
  if (own.find('/') == own.size() - 1 && generic_.contains(own.substr(0, own.size() - 1)))
    return Refusal{fmt::format("{}{} belongs to everybody who has a page there", host, path), "name the one page"};
  return std::nullopt;
}

std::optional<Refusal> NeverBlock::check_address(std::string_view address, std::string_view domain) const {
  const std::string_view local = address.substr(0, address.size() - domain.size() - 1);
  if (std::ranges::find(kEveryServers, local) != kEveryServers.end())
    return Refusal{fmt::format("{}@ is every server's own address", local), ""};
  const Verdict v = nearest(domain);
  if (v.rule != Rule::never || v.list == "members" || free_mail_.contains(domain)) return std::nullopt;
  return Refusal{fmt::format("{} is {} ({}), whose mail is never blocked", domain, words_for(v.list), v.name), ""};
}

std::optional<Refusal> NeverBlock::check_network(std::string_view text) const {
  auto network = event::parse_cidr(text);
  if (!network) {
    const auto ip = event::parse_ip(text);
    if (!ip) return Refusal{fmt::format("{} is no address", text), ""};
    network = event::Cidr{*ip, static_cast<std::uint8_t>(ip->width())};
  }
  const unsigned widest = network->network.v6 ? kWidestV6 : kWidestV4;
  if (network->prefix < widest)
    return Refusal{fmt::format("{} is wider than /{}", text, widest), "name smaller networks"};
  for (const Network& n : networks_)
    if (inside(*network, n.cidr) || inside(n.cidr, *network))
      return Refusal{fmt::format("{} meets {} ({}), which is never blocked", text, n.text, n.whose), ""};
  return std::nullopt;
}

bool NeverBlock::shared_host(std::string_view host) const {
  const Verdict v = nearest(host);
  return v.rule == Rule::shared || shared_hosts_.contains(host) || (v.rule == Rule::customers && v.name == host);
}

bool NeverBlock::members_domain(std::string_view host) const {
  bool is = false;
  up(host, [&](std::string_view name) { return is = members_.contains(name); });
  return is;
}

bool NeverBlock::members_address(const event::Observable& what) const {
  if (what.kind != Kind::email) return false;
  return members_domain(std::string_view(what.value).substr(what.value.rfind('@') + 1));
}

std::vector<std::string> NeverBlock::names() const {
  std::vector<std::string> out;
  for (const Names* names : {&members_, &never_, &shared_hosts_})
    for (const auto& [name, list] : *names) out.push_back(name);
  std::ranges::sort(out);
  out.erase(std::unique(out.begin(), out.end()), out.end());
  return out;
}

std::optional<Refusal> NeverBlock::check(const event::Observable& what) const {
  // Only what has the one canonical form is looked up: another spelling would pass by the lists.
  const auto known = event::canonical(what.kind, what.value);
  if (!known || known->kind != what.kind || known->value != what.value)
    return Refusal{fmt::format("this is no {}", event::to_string(what.kind)), "write it in its usual form"};
  switch (what.kind) {
    case Kind::domain: return check_host(what.value);
    case Kind::mail_domain:
      if (free_mail_.contains(what.value))
        return Refusal{fmt::format("everybody can have an address at {}", what.value), "block the one address"};
      return check_host(what.value);
    case Kind::url: return check_url(what.value);
    case Kind::email: return check_address(what.value, std::string_view(what.value).substr(what.value.rfind('@') + 1));
    case Kind::ipv4:
    case Kind::ipv6:
    case Kind::cidr: return check_network(what.value);
    case Kind::md5:
    case Kind::sha1:
    case Kind::sha256:
      if (std::ranges::find(kEmptyFile, what.value) != kEmptyFile.end())
        return Refusal{"this is the empty file", "name a file with content"};
      return std::nullopt;
    case Kind::message_id:
      if (what.value.size() < kShortestMessageId)
        return Refusal{"this Message-ID is so short that it may be another mail's, too", ""};
      return std::nullopt;
    default: return Refusal{fmt::format("no list can carry a {}", event::to_string(what.kind)), "watch for it instead"};
  }
}

}  // namespace bavn::warn
