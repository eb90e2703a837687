#include "exchange/peers/partner.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <boost/describe.hpp>

#include "base/aead.hpp"
#include "base/digest.hpp"
#include "base/encoding.hpp"
#include "base/json_writer.hpp"
#include "base/text.hpp"
#include "exchange/peers/names.hpp"

namespace bavn::exchange {

BOOST_DESCRIBE_STRUCT(PartnerKey, (), (id, peer, label, may_read, may_write, made_by, made_us, revoked_us))

namespace {

constexpr std::string_view kKeyStart = "bavnpeer";
constexpr std::size_t kKeyLength = 40;
constexpr std::size_t kMostKeys = 50;  // of one peer, valid: more are forgotten ones

struct KnownRow {
  std::int64_t key = 0, peer = 0;
  std::string name, kind, state, direction, ceiling, kinds, sectors, hash;
  bool may_read = false, may_write = false;
};
BOOST_DESCRIBE_STRUCT(KnownRow, (),
                      (key, peer, name, kind, state, direction, ceiling, kinds, sectors, hash, may_read, may_write))

Result<void> need(const event::Scope& scope, event::Right right, std::string_view doing) {
  if (scope.may(right)) return {};
  return fail(Code::forbidden, fmt::format("{} may not {}", scope.who(), doing));
}

bool is_key(std::string_view s) {
  return s.size() == kKeyLength && s.starts_with(kKeyStart) && std::ranges::all_of(s, [](char c) {
           return ascii_digit(c) || (ascii_lower(c) >= 'a' && ascii_lower(c) <= 'z');
         });
}

/// 190 bits: 32 of 62 letters and digits. A byte that would make some of them likelier is thrown away.
std::string fresh_key() {
  constexpr std::string_view letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";
  std::string key(kKeyStart);
  while (key.size() < kKeyLength) {
    std::string bytes(64, '\0');
    random_bytes(bytes);
    for (const char c : bytes)
      if (const auto n = static_cast<unsigned char>(c); n < 4 * letters.size() && key.size() < kKeyLength)
        key += letters[n % letters.size()];
  }
  return key;
}

}  // namespace

struct PartnerKeys::Known {
  std::string hash;
  bool paused = false;
  Partner partner;
};

bool Partner::may_have(event::Tlp marked, const std::vector<std::string>& of_sectors, std::string_view of_kind) const {
  if (marked > ceiling || std::ranges::find(of_sectors, kMembersOnly) != of_sectors.end()) return false;
  if (!of_kind.empty() && !kinds.empty() && std::ranges::find(kinds, of_kind) == kinds.end()) return false;
  return of_sectors.empty() ||
         std::ranges::any_of(of_sectors, [&](const auto& s) { return std::ranges::find(sectors, s) != sectors.end(); });
}

std::string partner_key_in(const net::Request& request) {
  if (const std::string* own = request.headers.find("X-MISP-AUTH"))
    if (const auto key = trim(std::string_view(*own)); is_key(key)) return std::string(key);
  const std::string* header = request.headers.find("Authorization");
  if (header == nullptr || header->size() > 1000) return {};
  std::string_view value = trim(std::string_view(*header));
  if (value.starts_with(kKeyStart)) return std::string(value.substr(0, 200));
  const auto after = [&](std::string_view scheme) {
    return value.size() > scheme.size() && iequals(value.substr(0, scheme.size()), scheme)
               ? std::optional(trim(value.substr(scheme.size())))
               : std::nullopt;
  };
  if (const auto bearer = after("Bearer "))
    return bearer->starts_with(kKeyStart) ? std::string(*bearer) : std::string();
  if (const auto basic = after("Basic ")) {
    const auto plain = from_base64(*basic);
    if (!plain) return {};
    const auto colon = plain->find(':');  // RFC 7617 section 2: the first; a password may have more
    if (colon == std::string::npos) return {};
    const std::string_view password = std::string_view(*plain).substr(colon + 1);
    return password.starts_with(kKeyStart) ? std::string(password) : std::string();
  }
  return {};
}

Result<std::unique_ptr<PartnerKeys>> PartnerKeys::open(store::State& state) {
  auto keys = std::unique_ptr<PartnerKeys>(new PartnerKeys(state));
  BAVN_CHECK(keys->reload());
  return keys;
}

Result<void> PartnerKeys::reload() {
  BAVN_TRY(auto rows, state_.read([](store::Reader& db) {
    return db.all<KnownRow>(
        "SELECT k.id AS key, p.id AS peer, p.name AS name, p.kind AS kind, p.state AS state, p.direction AS direction, "
        "p.ceiling AS ceiling, p.kinds AS kinds, p.sectors AS sectors, k.hash AS hash, k.may_read AS may_read, "
        "k.may_write AS may_write FROM exchange_key k JOIN exchange_peer p ON p.id = k.peer WHERE k.revoked_us = 0 "
        "ORDER BY k.hash");
  }));
  auto fresh = std::make_shared<std::vector<Known>>();
  for (auto& r : rows) {
    Known k;
    k.hash = std::move(r.hash);
    k.paused = r.state == "paused";
    k.partner.peer = r.peer;
    k.partner.key = r.key;
    k.partner.name = std::move(r.name);
    k.partner.kind = std::move(r.kind);
    k.partner.may_read = r.may_read && r.direction != "in";
    k.partner.may_write = r.may_write && r.direction != "out";
    k.partner.ceiling = event::parse_tlp(r.ceiling).value_or(event::Tlp::clear);
    k.partner.kinds = names_in(r.kinds);
    k.partner.sectors = names_in(r.sectors);
    fresh->push_back(std::move(k));
  }
  known_.with([&](auto& known) { known = std::move(fresh); });
  return {};
}

Result<PartnerKeys::Issued> PartnerKeys::issue(const event::Scope& scope, std::int64_t peer, std::string_view label,
                                               bool may_read, bool may_write) {
  BAVN_CHECK(need(scope, event::Right::settings_write, "issue keys to partners"));
  if (label.empty() || label.size() > 100)
    return fail(Code::bad_input, "a key has a label of 1 to 100 bytes", "/label");
  if (!may_read && !may_write)
    return fail(Code::bad_input, "a key that may neither read nor write is of no use", "/read");
  Issued issued;
  issued.key = fresh_key();
  BAVN_CHECK(state_.write_now([&](store::Tx& tx) -> Result<void> {
    BAVN_TRY(const auto there, tx.number("SELECT count(*) FROM exchange_peer WHERE id = :p", {{"p", peer}}));
    if (there == 0) return fail(Code::not_found, "there is no such peer", std::to_string(peer));
    BAVN_TRY(const auto valid,
             tx.number("SELECT count(*) FROM exchange_key WHERE peer = :p AND revoked_us = 0", {{"p", peer}}));
    if (valid >= static_cast<std::int64_t>(kMostKeys))
      return fail(Code::conflict, fmt::format("this peer has {} valid keys; revoke one first", kMostKeys), "");
    BAVN_CHECK(tx.exec(
        "INSERT INTO exchange_key (peer, label, may_read, may_write, hash, made_by, made_us, revoked_us) VALUES "
        "(:p, :l, :r, :w, :h, :who, :now, 0)",
        {{"p", peer},
         {"l", label},
         {"r", may_read},
         {"w", may_write},
         {"h", to_hex(blake2b256(issued.key))},
         {"who", scope.who()},
         {"now", tx.now()}}));
    issued.id = tx.last_id();
    std::string detail;
    JsonWriter(detail)
        .object()
        .member("key", issued.id)
        .member("label", label)
        .member("read", may_read)
        .member("write", may_write)
        .end();
    return tx.audit({scope.who(), "peer.key_issued", fmt::format("peer:{}", peer), detail});
  }));
  BAVN_CHECK(reload());
  return issued;
}

Result<void> PartnerKeys::revoke(const event::Scope& scope, std::int64_t peer, std::int64_t key) {
  BAVN_CHECK(need(scope, event::Right::settings_write, "revoke keys of partners"));
  BAVN_CHECK(state_.write_now([&](store::Tx& tx) -> Result<void> {
    BAVN_TRY(const auto changed,
             tx.exec("UPDATE exchange_key SET revoked_us = :now WHERE id = :k AND peer = :p AND revoked_us = 0",
                     {{"now", tx.now()}, {"k", key}, {"p", peer}}));
    if (changed == 0) return fail(Code::not_found, "this peer has no such valid key", std::to_string(key));
    return tx.audit(
        {scope.who(), "peer.key_revoked", fmt::format("peer:{}", peer), fmt::format("{{\"key\":{}}}", key)});
  }));
  return reload();
}

Result<std::vector<PartnerKey>> PartnerKeys::list(const event::Scope& scope, std::int64_t peer) const {
  BAVN_CHECK(need(scope, event::Right::tenants_read, "see the keys of partners"));
  return state_.read([&](store::Reader& db) {
    return db.all<PartnerKey>(
        "SELECT id, peer, label, may_read, may_write, made_by, made_us, revoked_us FROM exchange_key WHERE peer = :p "
        "ORDER BY id DESC LIMIT 500",
        {{"p", peer}});
  });
}

Result<Partner> PartnerKeys::partner_of(const net::Request& request) const {
  const std::string key = partner_key_in(request);
  if (key.empty()) return fail(Code::not_found, "the request has no partner's key");
  // Found by its hash: how long that takes says nothing about a key.
  const std::string hash = to_hex(blake2b256(key));
  const auto known = known_.with([](const auto& k) { return k; });
  const auto it = std::ranges::lower_bound(*known, hash, {}, &Known::hash);
  if (it == known->end() || it->hash != hash)
    return fail(Code::forbidden, "the partner's key is unknown or was revoked");
  if (it->paused) return fail(Code::forbidden, "exchange with this partner is paused here");
  return it->partner;
}

Result<event::Scope> PartnerKeys::authenticate(const net::Request& request) const {
  BAVN_TRY(const Partner p, partner_of(request));
  return event::Scope("partner:" + p.name, {}, 0, p.ceiling);
}

}  // namespace bavn::exchange
