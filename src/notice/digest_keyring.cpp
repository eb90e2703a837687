#include "notice/digest_keyring.hpp"

#include <fmt/format.h>
#include <boost/describe.hpp>

#include <algorithm>

#include "base/digest.hpp"
#include "base/encoding.hpp"
#include "base/log.hpp"
#include "net/json_views.hpp"

namespace bavn::notice {

namespace {

constexpr std::size_t kMaxPayload = 4096, kMaxStewards = 20;

struct KeyRow {
  std::int64_t epoch = 0, from_us = 0, until_us = 0, replaces = 0;
  std::string payload;
};
BOOST_DESCRIBE_STRUCT(KeyRow, (), (epoch, from_us, until_us, replaces, payload))

}  // namespace

EpochKeys::EpochKeys(std::vector<event::EpochKey> keys) : keys_(std::move(keys)) {
  std::sort(keys_.begin(), keys_.end(), [](const auto& a, const auto& b) { return a.epoch < b.epoch; });
  for (const auto& k : keys_)
    if (k.replaces) floor_ = std::max(floor_, k.epoch);
}

std::vector<const event::EpochKey*> EpochKeys::in_force(Instant now) const {
  std::vector<const event::EpochKey*> found;
  for (const auto& k : keys_)
    if (k.epoch >= floor_ && k.from <= now && now < k.until) found.push_back(&k);
  if (found.size() > 2) found.erase(found.begin(), found.end() - 2);
  return found;
}

const event::EpochKey* EpochKeys::find(std::int64_t epoch) const {
  const auto at = std::find_if(keys_.begin(), keys_.end(), [&](const auto& k) { return k.epoch == epoch; });
  return at == keys_.end() ? nullptr : &*at;
}

Instant EpochKeys::lasts_until() const {
  Instant last{};
  for (const auto& k : keys_)
    if (k.epoch >= floor_) last = std::max(last, k.until);
  return last;
}

std::string keyed_digest(const event::EpochKey& key, std::string_view kind, std::string_view text) {
  std::string bytes = "bavn digest 1";
  bytes.push_back('\0');
  bytes.append(kind).push_back('\0');
  bytes.append(text);
  return to_hex(blake2b256(bytes, key.key.reveal()).substr(0, 16));
}

DigestKeyring::DigestKeyring(Runtime& runtime, SealKey own, std::vector<event::Steward> stewards, Metrics& metrics)
    : runtime_(runtime), own_(std::move(own)), stewards_(std::move(stewards)), metrics_(metrics) {
  keys_.with([](auto& k) { k = std::make_shared<const EpochKeys>(); });
}

Result<std::unique_ptr<DigestKeyring>> DigestKeyring::open(Runtime& runtime, store::State& state, SealKey own,
                                                           std::vector<event::Steward> stewards, Metrics& metrics) {
  std::unique_ptr<DigestKeyring> ring(new DigestKeyring(runtime, std::move(own), std::move(stewards), metrics));
  BAVN_TRY(const auto rows, state.read([](store::Reader& db) {
    return db.all<KeyRow>("SELECT epoch, from_us, until_us, replaces, payload FROM node_digest_key ORDER BY epoch");
  }));
  std::vector<event::EpochKey> keys;
  for (const auto& row : rows) {
    // a steward who is no longer pinned, or a new key of the node: the row says nothing any more, and the node works on without it
    const auto sealed = net::from_json<event::SealedKey>(row.payload, net::Unknown::ignore);
    auto key = sealed ? event::open_sealed(*sealed, ring->own_, ring->stewards_) : std::unexpected(sealed.error());
    if (!key) {
      log::warn("digest_key_refused", {{"epoch", std::to_string(row.epoch)}, {"reason", key.error().what}});
      metrics.counter("digest_key_refused").add();
      continue;
    }
    key->from = from_micros(row.from_us);
    key->until = from_micros(row.until_us);
    keys.push_back(std::move(*key));
  }
  ring->keys_.with([&](auto& k) { k = std::make_shared<const EpochKeys>(std::move(keys)); });
  return ring;
}

Result<void> DigestKeyring::take(store::Tx& tx, std::string_view payload) {
  const auto refuse = [&](Error error) {
    metrics_.counter("digest_key_refused").add();
    return std::unexpected(std::move(error));
  };
  if (payload.size() > kMaxPayload) return refuse({Code::bad_input, "too large for the key of a digest epoch", {}});
  auto sealed = net::from_json<event::SealedKey>(payload, net::Unknown::ignore);
  if (!sealed) return refuse(std::move(sealed.error()));
  auto key = event::open_sealed(*sealed, own_, stewards_);
  if (!key) return refuse(std::move(key.error()));
  const auto before = keys();
  if (const auto* known = before->find(key->epoch)) {
    if (event::key_check(known->key) == sealed->check) return {};
    return refuse({Code::conflict,
                   fmt::format("epoch {} has another key here: stewards must agree which one counts", key->epoch),
                   {}});
  }
  if (key->replaces) {  // a reserve begins when it comes
    const Duration lasts = key->until - key->from;
    key->from = tx.now();
    key->until = tx.now() + lasts;
  }
  BAVN_CHECK(
      tx.exec("INSERT INTO node_digest_key (epoch, from_us, until_us, replaces, payload) VALUES (:epoch, :from, "
              ":until, :replaces, "
              ":payload) ON CONFLICT (epoch) DO UPDATE SET from_us = :from, until_us = :until, replaces = :replaces, "
              "payload = :payload",
              {{"epoch", key->epoch},
               {"from", key->from},
               {"until", key->until},
               {"replaces", key->replaces},
               {"payload", payload}}));
  // what ended long ago is of no use, and a digest under it is forgotten everywhere
  const auto old = tx.now() - std::chrono::days(30);
  BAVN_CHECK(tx.exec("DELETE FROM node_digest_key WHERE until_us < :old", {{"old", old}}));
  keys_.with([&](auto& held) {
    std::vector<event::EpochKey> all{*key};
    for (const auto& k : before->all())
      if (k.until >= old) all.push_back(k);
    held = std::make_shared<const EpochKeys>(std::move(all));
  });
  return {};
}

std::shared_ptr<const EpochKeys> DigestKeyring::keys() const {
  return keys_.with([](const auto& k) { return k; });
}

std::string DigestKeyring::address() const {
  return own_.address().text();
}

Result<std::vector<event::Steward>> read_stewards(Files& files, const std::string& folder) {
  std::vector<event::Steward> stewards;
  if (!files.exists(folder)) return stewards;
  BAVN_TRY(auto names, files.list(folder));
  std::sort(names.begin(), names.end());
  for (const auto& name : names) {
    if (!name.ends_with(".steward")) continue;
    const std::string path = folder + "/" + name;
    BAVN_TRY(const auto text, read_file(files, path, 4096));
    auto steward = event::Steward::parse(text);
    if (!steward) {
      steward.error().where = path;
      return std::unexpected(std::move(steward.error()));
    }
    stewards.push_back(std::move(*steward));
    if (stewards.size() > kMaxStewards) return fail(Code::bad_input, "more stewards than can be", folder);
  }
  return stewards;
}

Result<SealKey> node_seal_key(Files& files, const std::string& path, std::string_view owner) {
  if (!files.exists(path)) {
    const auto key = SealKey::random();
    BAVN_CHECK(key.save(files, path, owner));
  }
  return SealKey::load(files, path);
}

}  // namespace bavn::notice
