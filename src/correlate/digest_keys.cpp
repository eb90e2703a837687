#include "correlate/digest_keys.hpp"

#include <fmt/format.h>

#include "base/json_writer.hpp"
#include "net/json_views.hpp"

namespace bavn::correlate {

namespace {

struct KeyRow {
  std::int64_t epoch = 0, replaces = 0, sent_us = 0;
  std::string address, payload;
};
BOOST_DESCRIBE_STRUCT(KeyRow, (), (epoch, replaces, sent_us, address, payload))

Result<std::vector<std::int64_t>> municipalities_of(store::Reader& db, std::string_view address) {
  return db.all<std::int64_t>(
      "SELECT municipality FROM hub_digest_address WHERE address = :address ORDER BY municipality",
      {{"address", address}});
}

}  // namespace

DigestKeyShelf::DigestKeyShelf(Down down, std::vector<event::Steward> stewards)
    : down_(std::move(down)), stewards_(std::move(stewards)) {}

Result<void> DigestKeyShelf::send(store::Tx& tx, std::int64_t epoch, const std::string& address) {
  BAVN_TRY(
      const auto row,
      tx.one<KeyRow>("SELECT epoch, replaces, sent_us, address, payload FROM hub_sealed_key WHERE epoch = :epoch AND "
                     "address = :address",
                     {{"epoch", epoch}, {"address", address}}));
  if (!row) return {};
  BAVN_TRY(const auto to, municipalities_of(tx, address));
  // one is enough: a node that serves several municipalities hears each of their streams
  if (to.empty()) return {};
  BAVN_CHECK(down_(tx, MunicipalityId{static_cast<std::uint16_t>(to.front())}, "digest_key", row->payload));
  BAVN_CHECK(tx.exec("UPDATE hub_sealed_key SET sent_us = :now WHERE epoch = :epoch AND address = :address",
                     {{"now", tx.now()}, {"epoch", epoch}, {"address", address}}));
  return {};
}

Result<void> DigestKeyShelf::take_address(store::Tx& tx, const Report& report) {
  BAVN_TRY(const auto told, net::from_json<event::DigestAddress>(report.body, net::Unknown::ignore));
  BAVN_TRY(const auto address, SealAddress::parse(told.address));
  const std::string text = address.text();
  BAVN_TRY(const auto other,
           tx.number("SELECT count(*) FROM hub_digest_address WHERE address = :address AND node <> :node",
                     {{"address", text}, {"node", report.node}}));
  if (other > 0) return fail(Code::forbidden, "this address is another node's");
  BAVN_CHECK(
      tx.exec("INSERT INTO hub_digest_address (node, municipality, address, at_us) VALUES (:node, :m, :address, :now) "
              "ON CONFLICT "
              "(node, municipality) DO UPDATE SET address = :address, at_us = :now",
              {{"node", report.node}, {"m", report.municipality}, {"address", text}, {"now", tx.now()}}));
  BAVN_TRY(
      const auto waiting,
      tx.all<std::int64_t>("SELECT k.epoch FROM hub_sealed_key k JOIN hub_digest_epoch e ON e.epoch = k.epoch WHERE "
                           "k.address = :address AND k.sent_us = 0 AND e.released_us > 0 AND (k.replaces = 1 OR "
                           "k.until_us > :now) ORDER BY k.epoch",
                           {{"address", text}, {"now", tx.now()}}));
  for (const auto epoch : waiting) BAVN_CHECK(send(tx, epoch, text));
  return {};
}

Result<std::int64_t> DigestKeyShelf::install(store::Tx& tx, const std::vector<event::SealedKey>& keys,
                                             std::string_view who) {
  if (keys.size() > 10'000) return fail(Code::bad_input, "more sealed keys than 98 municipalities can need");
  std::int64_t fresh = 0;
  for (const auto& k : keys) {
    if (!stewards_.empty()) BAVN_CHECK(event::check_sealed(k, stewards_));
    BAVN_TRY(const auto address, SealAddress::parse(k.node));
    if (k.epoch < 1 || k.until_us <= k.from_us || k.check.size() != 16 || k.sealed.size() > 400 ||
        k.signature.size() > 120 || k.steward.size() > 80)
      return fail(Code::bad_input, fmt::format("the sealed key of epoch {} has fields that cannot be", k.epoch));
    BAVN_TRY(
        const auto other,
        tx.number("SELECT count(*) FROM hub_sealed_key WHERE epoch = :epoch AND (check_word <> :check OR replaces <> "
                  ":replaces)",
                  {{"epoch", k.epoch}, {"check", k.check}, {"replaces", k.replaces}}));
    if (other > 0)
      return fail(
          Code::conflict,
          fmt::format("epoch {} has another key already: nodes would not understand each other; the stewards must "
                      "use one file of keys",
                      k.epoch));
    BAVN_TRY(
        const auto rows,
        tx.exec(
            "INSERT OR IGNORE INTO hub_sealed_key (epoch, address, from_us, until_us, replaces, check_word, payload, "
            "sent_us) VALUES (:epoch, :address, :from, :until, :replaces, :check, :payload, 0)",
            {{"epoch", k.epoch},
             {"address", address.text()},
             {"from", k.from_us},
             {"until", k.until_us},
             {"replaces", k.replaces},
             {"check", k.check},
             {"payload", net::to_json(k)}}));
    BAVN_CHECK(tx.exec("INSERT OR IGNORE INTO hub_digest_epoch (epoch, released_us) VALUES (:epoch, :released)",
                       {{"epoch", k.epoch}, {"released", k.replaces ? 0 : micros(tx.now())}}));
    if (rows == 0) continue;
    ++fresh;
    BAVN_TRY(const auto released,
             tx.number("SELECT released_us FROM hub_digest_epoch WHERE epoch = :epoch", {{"epoch", k.epoch}}));
    if (released > 0) BAVN_CHECK(send(tx, k.epoch, address.text()));
  }
  if (fresh > 0) {
    std::string detail;
    JsonWriter(detail).object().member("keys", fresh).end();
    BAVN_CHECK(tx.audit({std::string(who), "digest_keys.install", "", detail}));
  }
  return fresh;
}

Result<std::optional<std::int64_t>> DigestKeyShelf::revoked(store::Tx& tx, std::string_view node,
                                                            std::string_view who) {
  BAVN_TRY(const auto its,
           tx.all<std::string>("SELECT DISTINCT address FROM hub_digest_address WHERE node = :node", {{"node", node}}));
  BAVN_CHECK(tx.exec("DELETE FROM hub_digest_address WHERE node = :node", {{"node", node}}));
  std::int64_t held = 0;
  for (const auto& address : its) {
    BAVN_TRY(const auto n, tx.number("SELECT count(*) FROM hub_sealed_key WHERE address = :address AND sent_us > 0",
                                     {{"address", address}}));
    held += n;
    BAVN_CHECK(tx.exec("DELETE FROM hub_sealed_key WHERE address = :address", {{"address", address}}));
  }
  if (held == 0) return std::optional<std::int64_t>(0);  // it never had a key: nothing to replace
  BAVN_TRY(const auto reserve,
           tx.one<std::int64_t>(
               "SELECT e.epoch FROM hub_digest_epoch e WHERE e.released_us = 0 AND e.epoch > (SELECT "
               "coalesce(max(epoch), 0) FROM hub_digest_epoch WHERE released_us > 0) AND EXISTS (SELECT 1 "
               "FROM hub_sealed_key k WHERE k.epoch = e.epoch AND k.replaces = 1) ORDER BY e.epoch LIMIT 1"));
  if (!reserve) {
    BAVN_CHECK(tx.audit({std::string(who), "digest_keys.no_reserve", std::string(node), "{}"}));
    BAVN_CHECK(tx.emit("digest_keys.no_reserve", node));
    return std::optional<std::int64_t>();
  }
  BAVN_CHECK(tx.exec("UPDATE hub_digest_epoch SET released_us = :now WHERE epoch = :epoch",
                     {{"now", tx.now()}, {"epoch", *reserve}}));
  BAVN_TRY(const auto addresses,
           tx.all<std::string>("SELECT address FROM hub_sealed_key WHERE epoch = :epoch ORDER BY address",
                               {{"epoch", *reserve}}));
  for (const auto& address : addresses) BAVN_CHECK(send(tx, *reserve, address));
  std::string detail;
  JsonWriter(detail).object().member("epoch", *reserve).end();
  BAVN_CHECK(tx.audit({std::string(who), "digest_keys.reserve_used", std::string(node), detail}));
  BAVN_CHECK(tx.emit("digest_keys.reserve_used", node, detail));
  return std::optional(*reserve);
}

Result<std::vector<NodeAddress>> DigestKeyShelf::addresses(store::Reader& db) {
  return db.all<NodeAddress>(
      "SELECT node, municipality, address, at_us FROM hub_digest_address ORDER BY node, municipality");
}

Result<std::vector<KeyStanding>> DigestKeyShelf::standing(store::Reader& db) {
  return db.all<KeyStanding>(
      "SELECT k.epoch, min(k.from_us) AS from_us, min(k.until_us) AS until_us, k.replaces, count(*) AS nodes, "
      "sum(k.sent_us > "
      "0) AS sent, min(k.check_word) AS \"check\", e.released_us FROM hub_sealed_key k JOIN hub_digest_epoch e ON "
      "e.epoch = "
      "k.epoch GROUP BY k.epoch ORDER BY k.epoch");
}

}  // namespace bavn::correlate
