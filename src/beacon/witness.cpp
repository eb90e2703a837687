#include "beacon/witness.hpp"

#include <cstdlib>

#include "beacon/bytes.hpp"

namespace bavn::beacon {

namespace {
constexpr std::string_view kPurpose = "bavn audit witness 1";

std::string bytes_of(const Witnessed& w) {
  return BytesOut()
      .counted<std::uint8_t>(w.whose)
      .number(w.head.seq)
      .raw(view(w.head.hash))
      .number(static_cast<std::uint64_t>(micros(w.at)))
      .take();
}
}  // namespace

std::string sign_witness(const SigningKey& key, const Witnessed& w) {
  return key.sign(kPurpose, bytes_of(w));
}

bool is_witness(const PublicKey& key, const Witnessed& w, std::string_view signature) {
  return key.verify(kPurpose, bytes_of(w), signature);
}

Result<void> keep_witness(store::Tx& tx, std::string_view chain, std::string_view party, const Witness& w) {
  BAVN_CHECK(
      tx.exec("INSERT INTO audit_witness (chain, party, seq, hash, at_us, signature) VALUES (:c, :p, :q, :h, :at, :s) "
              "ON CONFLICT (chain, party, seq) DO NOTHING",
              {{"c", chain},
               {"p", party},
               {"q", w.head.seq},
               {"h", store::Blob{std::string(view(w.head.hash))}},
               {"at", w.at},
               {"s", store::Blob{w.signature}}}));
  return {};
}

Result<bool> contradicts(store::Tx& tx, std::string_view chain, const AuditHead& head) {
  BAVN_TRY(const auto other,
           tx.number("SELECT count(*) FROM audit_witness WHERE chain = :c AND seq = :q AND hash <> :h",
                     {{"c", chain}, {"q", head.seq}, {"h", store::Blob{std::string(view(head.hash))}}}));
  // A minute: the same word may come twice, late.
  BAVN_TRY(const auto longer,
           tx.number("SELECT count(*) FROM audit_witness WHERE chain = :c AND seq > :q AND at_us < :before",
                     {{"c", chain}, {"q", head.seq}, {"before", tx.now() - std::chrono::minutes{1}}}));
  return other + longer > 0;
}

bool clock_is_wrong(std::int64_t offset_us, std::int64_t round_trip_us) {
  return std::abs(offset_us) - round_trip_us / 2 > 5'000'000;
}

}  // namespace bavn::beacon
