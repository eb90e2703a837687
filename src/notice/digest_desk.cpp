#include "notice/digest_desk.hpp"

#include <fmt/format.h>
#include <boost/describe.hpp>

#include "base/encoding.hpp"
#include "base/guarded.hpp"
#include "base/log.hpp"
#include "net/json_views.hpp"

namespace bavn::notice {

namespace {

constexpr Duration kKeysEndSoon = std::chrono::days(14);

struct WordRow {
  std::string name, value;
};
BOOST_DESCRIBE_STRUCT(WordRow, (), (name, value))

Result<void> put_word(store::Tx& tx, std::string_view name, std::string_view value) {
  BAVN_CHECK(
      tx.exec("INSERT INTO node_digest_word (name, value) VALUES (:name, :value) ON CONFLICT (name) DO UPDATE SET "
              "value = :value",
              {{"name", name}, {"value", value}}));
  return {};
}

/// The node's own key for what its memory holds: made once.
Result<Key> hash_key(Runtime& runtime, store::State& state) {
  BAVN_TRY(auto row, state.read([](store::Reader& db) {
    return db.one<WordRow>("SELECT name, value FROM node_digest_word WHERE name = 'hash_key'");
  }));
  std::string bytes;
  if (row) {
    BAVN_TRY(bytes, from_base64(row->value));
  } else {
    bytes.resize(Key::kSize);
    runtime.random(std::as_writable_bytes(std::span(bytes)));
    BAVN_CHECK(state.write_now([&](store::Tx& tx) { return put_word(tx, "hash_key", to_base64(bytes)); }));
  }
  if (bytes.size() != Key::kSize)
    return fail(Code::corrupt, "the key of this node's memory is damaged", "node_digest_word");
  return Key(std::span<const char, Key::kSize>(bytes.data(), Key::kSize));
}

}  // namespace

DigestDeskOptions DigestDeskOptions::from(const Settings& settings) {
  return {DigestOptions::from(settings), RevealOptions::from(settings)};
}

/// What other threads gave, until the feeding thread takes it over.
struct Given {
  std::shared_ptr<const Community> community;
  std::optional<std::string> harmless;
};

struct DigestDesk::Inner {
  Runtime& runtime;
  Metrics& metrics;
  Tell tell;
  std::unique_ptr<DigestKeyring> keyring;
  std::unique_ptr<DigestReveals> reveals;
  Digester digester;
  Guarded<Given> given;
  Guarded<DigestCounts> counts;  // as of the last take
  bool on;

  Inner(Runtime& r, Metrics& m, Tell t, std::unique_ptr<DigestKeyring> ring, std::unique_ptr<DigestReveals> answers,
        std::shared_ptr<const Community> community, const DigestOptions& options, const Key& key)
      : runtime(r),
        metrics(m),
        tell(std::move(t)),
        keyring(std::move(ring)),
        reveals(std::move(answers)),
        digester(
            std::move(community), std::make_shared<const HostLists>(HostLists::embedded()),
            [keys = keyring.get()] { return keys->keys(); }, options, key),
        on(options.on) {}

  void take_over() {
    Given g = given.with([](Given& held) { return std::exchange(held, {}); });
    if (g.community) digester.use_community(std::move(g.community));
    if (g.harmless)
      if (const auto ok = digester.use_harmless(*g.harmless); !ok)
        log::counted(metrics, log::Level::warn, "harmless_refused", {{"reason", ok.error().what}});
  }
};

DigestDesk::DigestDesk(std::unique_ptr<Inner> inner) : inner_(std::move(inner)) {}
DigestDesk::~DigestDesk() = default;

Result<std::unique_ptr<DigestDesk>> DigestDesk::open(Runtime& runtime, store::State& state,
                                                     std::shared_ptr<const Community> community, SealKey own,
                                                     std::vector<event::Steward> stewards, Tell tell,
                                                     DigestDeskOptions options, Metrics& metrics) {
  BAVN_TRY(const Key key, hash_key(runtime, state));
  BAVN_TRY(auto keyring, DigestKeyring::open(runtime, state, std::move(own), std::move(stewards), metrics));
  BAVN_TRY(auto reveals, DigestReveals::open(runtime, state, tell, options.reveals));
  auto inner = std::make_unique<Inner>(runtime, metrics, std::move(tell), std::move(keyring), std::move(reveals),
                                       std::move(community), options.digests, key);
  BAVN_TRY(auto harmless, state.read([](store::Reader& db) {
    return db.one<WordRow>("SELECT name, value FROM node_digest_word WHERE name = 'harmless'");
  }));
  if (harmless) inner->given.with([&](Given& g) { g.harmless = std::move(harmless->value); });
  return std::unique_ptr<DigestDesk>(new DigestDesk(std::move(inner)));
}

void DigestDesk::feed(const event::MailFact& mail, Instant received, bool again) {
  inner_->take_over();
  inner_->digester.feed(mail, received);
  // what came out in the life before is taken from it and thrown away
  if (again && inner_->digester.waiting()) (void)inner_->digester.take(received);
}

std::optional<std::string> DigestDesk::harm(const event::HarmFact& harm, Instant received, bool again) {
  inner_->take_over();
  inner_->digester.harm(harm, received);
  if (again && inner_->digester.waiting()) (void)inner_->digester.take(received);
  auto digest = inner_->digester.digest_of(harm);
  if (digest.empty()) return std::nullopt;
  return digest;
}

store::Unit DigestDesk::take() {
  Inner& in = *inner_;
  in.take_over();
  if (!in.digester.waiting()) return nullptr;
  auto out = in.digester.take(in.runtime.now());
  in.counts.with([&](DigestCounts& c) { c = in.digester.counts(); });
  if (out.empty()) return nullptr;
  return [reveals = in.reveals.get(), out = std::move(out)](store::Tx& tx) { return reveals->keep(tx, out); };
}

Result<void> DigestDesk::take_entry(store::Tx& tx, std::string_view kind, std::string_view payload,
                                    MunicipalityId municipality) {
  Inner& in = *inner_;
  if (kind == "reveal") return in.reveals->take(tx, municipality, payload);
  if (kind == "digest_key") return in.keyring->take(tx, payload);
  if (kind != "harmless")
    return fail(Code::bad_input, fmt::format("an entry of kind \"{}\" is not about digests", kind));
  BAVN_TRY(const auto list, net::from_json<event::HarmlessList>(payload, net::Unknown::ignore));
  if (list.domains.size() > 2'000)
    return fail(Code::bad_input, "the list of what is harmless has more domains than can be");
  BAVN_CHECK(put_word(tx, "harmless", payload));
  in.given.with([&](Given& g) { g.harmless = std::string(payload); });
  return {};
}

Result<void> DigestDesk::save(std::string& into) const {
  inner_->digester.save(into);
  return {};
}
Result<void> DigestDesk::load(std::string_view saved) {
  return inner_->digester.load(saved);
}
Duration DigestDesk::memory() const {
  return inner_->digester.looks_back();
}

void DigestDesk::use_community(std::shared_ptr<const Community> community) {
  inner_->given.with([&](Given& g) { g.community = std::move(community); });
}

Result<void> DigestDesk::tell_address(store::Tx& tx, MunicipalityId of) {
  const std::string name = fmt::format("address/{}", of.value), address = inner_->keyring->address();
  BAVN_TRY(const auto told,
           tx.one<WordRow>("SELECT name, value FROM node_digest_word WHERE name = :name", {{"name", name}}));
  if (told && told->value == address) return {};
  BAVN_CHECK(put_word(tx, name, address));
  return inner_->tell(tx, "digest_address", net::to_json(event::DigestAddress{address}), of, event::Tlp::amber);
}

DigestCounts DigestDesk::counts() const {
  return inner_->counts.with([](const DigestCounts& c) { return c; });
}
const DigestKeyring& DigestDesk::keyring() const {
  return *inner_->keyring;
}
DigestReveals& DigestDesk::reveals() {
  return *inner_->reveals;
}

std::string DigestDesk::trouble(Instant now) const {
  if (!inner_->on) return "digests.trouble.off";
  if (inner_->keyring->stewards().empty()) return "digests.trouble.no_steward";
  const auto keys = inner_->keyring->keys();
  if (keys->in_force(now).empty()) return "digests.trouble.no_key";
  if (keys->lasts_until() < now + kKeysEndSoon) return "digests.trouble.ends_soon";
  return {};
}

}  // namespace bavn::notice
