#include "match/indicators/allow_list.hpp"

#include <simdjson.h>

#include <algorithm>
#include <array>
#include <filesystem>
#include <fstream>
#include <unordered_map>

#include "base/hash.hpp"
#include "base/text.hpp"
#include "event/domain.hpp"
#include "event/ip.hpp"
#include "match/indicators/bounded_regex.hpp"

namespace bavn::match::indicators {

using event::Kind;
using ListId = std::uint16_t;

struct AllowLists::State {
  using Names = std::unordered_map<std::string, ListId, StringHash, std::equal_to<>>;
  std::vector<std::string> names;
  Names exact;      // as written, lower case, and in the canonical form of whatever kind it is
  Names hostnames;  // the name and everything below it
  std::vector<std::pair<std::string, ListId>> substrings;
  std::vector<std::pair<std::shared_ptr<const BoundedRegex>, ListId>> regexes;
  std::array<std::map<event::Ip, ListId>, 33> v4;
  std::array<std::map<event::Ip, ListId>, 129> v6;
  std::size_t entries = 0;

  bool network(std::string_view text, ListId id) {
    std::optional<event::Cidr> c = event::parse_cidr(text);
    if (!c)
      if (const auto ip = event::parse_ip(text)) c = event::Cidr{*ip, static_cast<std::uint8_t>(ip->width())};
    if (!c) return false;
    (c->network.v6 ? v6[c->prefix] : v4[c->prefix]).emplace(c->network, id);
    return true;
  }
  const std::string* name(ListId id) const { return &names[id]; }
};

AllowLists::AllowLists() : state_(std::make_unique<State>()) {}
AllowLists::~AllowLists() = default;
AllowLists::AllowLists(AllowLists&&) noexcept = default;
AllowLists& AllowLists::operator=(AllowLists&&) noexcept = default;
std::size_t AllowLists::size() const {
  return state_->entries;
}

Result<AllowLists::Report> AllowLists::load_bytes(std::string_view json, std::string_view file) {
  constexpr std::size_t kLargest = std::size_t{256} << 20, kDeepest = 16, kMostLists = 60000;
  if (json.size() > kLargest) return fail(Code::bad_input, "allow list larger than 256 MiB", std::string(file));
  if (state_->names.size() >= kMostLists)
    return fail(Code::bad_input, "more than 60,000 allow lists", std::string(file));
  simdjson::dom::parser parser;
  simdjson::dom::element root;
  if (parser.allocate(std::max<std::size_t>(json.size(), 64), kDeepest) != simdjson::SUCCESS)
    return fail(Code::unavailable, "no memory to read the allow list", std::string(file));
  if (const auto error = parser.parse(json.data(), json.size()).get(root); error != simdjson::SUCCESS)
    return fail(Code::bad_input, std::string("no valid JSON: ") + simdjson::error_message(error), std::string(file));
  std::string_view name, type;
  simdjson::dom::array list;
  if (root["name"].get(name) != simdjson::SUCCESS || root["type"].get(type) != simdjson::SUCCESS ||
      root["list"].get(list) != simdjson::SUCCESS)
    return fail(Code::bad_input, "not an allow list: expected name, type and list", std::string(file));
  if (type != "string" && type != "substring" && type != "hostname" && type != "cidr" && type != "regex")
    return fail(Code::bad_input, "allow list of unknown type " + std::string(type.substr(0, 40)), std::string(file));
  Report report;
  report.lists = 1;
  const auto id = static_cast<ListId>(state_->names.size());
  state_->names.emplace_back(name);
  for (simdjson::dom::element e : list) {
    std::string_view entry;
    if (e.get(entry) != simdjson::SUCCESS || trim(entry).empty() || entry.size() > 4096) {
      ++report.refused["entry is no text of 1 to 4,096 bytes"];
      continue;
    }
    entry = trim(entry);
    const std::string lower = to_lower_utf8(entry);
    if (type == "string") {
      state_->exact.emplace(lower, id);
      if (const auto o = event::guess(entry); o && o->kind != Kind::cidr) state_->exact.emplace(o->value, id);
    } else if (type == "hostname") {
      std::string_view host = lower;
      while (host.starts_with('.')) host.remove_prefix(1);
      if (const auto o = event::canonical(Kind::domain, host)) state_->hostnames.emplace(o->value, id);
      else if (const auto u = event::canonical(Kind::url, host)) state_->exact.emplace(u->value, id);
      else state_->hostnames.emplace(host, id);
    } else if (type == "substring") {
      state_->substrings.emplace_back(lower, id);
    } else if (type == "cidr") {
      if (!state_->network(entry, id)) {
        ++report.refused["entry is no network"];
        continue;
      }
    } else {
      bool caseless = true;  // "/expression/flags" as PHP writes it, or bare
      std::string_view expression = entry;
      if (entry.size() > 2 && entry[0] == '/')
        if (const auto close = entry.rfind('/'); close > 0) {
          expression = entry.substr(1, close - 1);
          caseless = entry.find('i', close) != std::string_view::npos;
        }
      auto regex = BoundedRegex::compile(expression, caseless);
      if (!regex) {
        ++report.refused[regex.error().what];
        continue;
      }
      state_->regexes.emplace_back(std::move(*regex), id);
    }
    ++report.entries;
  }
  state_->entries += report.entries;
  return report;
}

Result<AllowLists::Report> AllowLists::load(const std::string& path) {
  namespace fs = std::filesystem;
  const auto one = [&](const fs::path& p) -> Result<Report> {
    std::error_code error;
    const auto size = fs::file_size(p, error);
    if (error) return fail(Code::not_found, "cannot read the allow list: " + error.message(), p.string());
    std::string bytes(std::min<std::uintmax_t>(size, std::uintmax_t{1} << 29), '\0');
    std::ifstream in(p, std::ios::binary);
    if (!in.read(bytes.data(), static_cast<std::streamsize>(bytes.size())))
      return fail(Code::unavailable, "cannot read the allow list", p.string());
    return load_bytes(bytes, p.string());
  };
  std::error_code error;
  if (!fs::is_directory(path, error)) return one(path);
  Report all;
  std::vector<fs::path> files;
  for (auto it = fs::recursive_directory_iterator(path, fs::directory_options::skip_permission_denied, error);
       !error && it != fs::recursive_directory_iterator(); it.increment(error))
    if (it->is_regular_file(error) && it->path().extension() == ".json") files.push_back(it->path());
  std::sort(files.begin(), files.end());
  for (const fs::path& p : files) {
    auto r = one(p);
    if (!r) {
      ++all.refused[r.error().what];
      continue;
    }
    all.lists += r->lists;
    all.entries += r->entries;
    for (const auto& [reason, n] : r->refused) all.refused[reason] += n;
  }
  if (all.lists == 0)
    return fail(Code::bad_input, "no allow list in this folder (expected files with name, type and list)", path);
  return all;
}

std::string AllowLists::check(Kind kind, std::string_view value) const {
  const State& s = *state_;
  const auto exact = [&](std::string_view v) -> const std::string* {
    const auto it = s.exact.find(v);
    return it == s.exact.end() ? nullptr : s.name(it->second);
  };
  const auto host = [&](std::string_view name) -> const std::string* {
    for (;;) {
      if (const auto it = s.hostnames.find(name); it != s.hostnames.end()) return s.name(it->second);
      const auto dot = name.find('.');
      if (dot == std::string_view::npos) return nullptr;
      name.remove_prefix(dot + 1);
    }
  };
  const auto networks = [&](const event::Ip& ip, unsigned narrowest) -> const std::string* {
    for (unsigned p = 0; p <= narrowest; ++p) {
      const auto& at = ip.v6 ? s.v6[p] : s.v4[p];
      if (at.empty()) continue;
      if (const auto it = at.find(event::masked(ip, p)); it != at.end()) return s.name(it->second);
    }
    return nullptr;
  };
  const std::string lower = to_lower_utf8(value);
  const std::string* found = exact(value);
  if (found == nullptr) found = exact(lower);
  if (found == nullptr) {
    switch (kind) {
      case Kind::domain:
      case Kind::mail_domain: found = host(value); break;
      case Kind::email: found = host(value.substr(value.find('@') + 1)); break;
      case Kind::url: {
        const std::string_view h = event::url_host(value);
        found = host(h);
        if (found == nullptr)
          if (const auto ip = event::parse_ip(h)) found = networks(*ip, ip->width());
        break;
      }
      case Kind::ipv4:
      case Kind::ipv6:
        if (const auto ip = event::parse_ip(value)) found = networks(*ip, ip->width());
        break;
      case Kind::cidr:
        if (const auto c = event::parse_cidr(value)) found = networks(c->network, c->prefix);
        break;
      default: break;
    }
  }
  if (found != nullptr) return *found;
  for (const auto& [part, id] : s.substrings)
    if (lower.find(part) != std::string::npos) return *s.name(id);
  for (const auto& [regex, id] : s.regexes)
    if (regex->search(value)) return *s.name(id);
  return {};
}

}  // namespace bavn::match::indicators
